"""Python and the libraries: which are here, and what those that are not would add."""

import importlib
import locale
import platform
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from tuneglm.doctor.finding import Finding
from tuneglm.packages import EXTRAS, install, missing

LIBRARIES = ("torch", "transformers", "peft", "accelerate", "tokenizers", "safetensors")
# extra → what needs it
NEEDED_BY = {
    "quant": "weights in 8 and 4 bits",
    "shard": "ZeRO-2 and ZeRO-3",
    "web": "the page",
    "api": "serving",
    "eval": "BLEU and ROUGE",
    "suites": "C-Eval, CMMLU, MMLU",
    "gguf": "GGUF files",
}


def software() -> Iterator[Finding]:
    """The program, Python, libraries, extras and the terminal's encoding."""
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    yield Finding("system", "well", system)
    yield Finding("python", "well", f"{platform.python_version()} in {sys.prefix}")
    yield Finding("tuneglm", "well", version_of("tuneglm") or "not installed: run from its source")
    yield from _libraries()
    yield from _extras()
    encoding = locale.getpreferredencoding(False)
    if encoding.lower().replace("-", "") not in ("utf8", "cp65001"):
        yield Finding(
            "encoding", "note", f"{encoding}: Chinese may not be shown", "set PYTHONUTF8=1"
        )


def version_of(package: str) -> str | None:
    """The version that is installed; None where it is not."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _libraries() -> Iterator[Finding]:
    for name in LIBRARIES:
        found = version_of(name)
        if found is None:
            yield Finding(name, "ill", "is not installed", "pip install tuneglm")
            continue
        try:
            importlib.import_module(name)
        except (ImportError, OSError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            yield Finding(
                name,
                "ill",
                f"{found} cannot be imported: {reason}",
                f"install it again: pip install --force-reinstall {name}=={found}",
            )
        else:
            yield Finding(name, "well", found)


def _extras() -> Iterator[Finding]:
    for extra, what in NEEDED_BY.items():
        absent = missing(extra)
        if absent:
            yield Finding(
                extra,
                "note",
                f"{what}: {', '.join(absent)} not installed",
                f"if you want that: {install(extra)}",
            )
        else:
            first = EXTRAS[extra][0]
            found = version_of(first.replace("_", "-"))
            yield Finding(extra, "well", f"{what}: {first} {found}")
