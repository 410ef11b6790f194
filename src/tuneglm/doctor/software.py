"""Python and the libraries: which are here, and what those that are not would add."""

import importlib
import locale
import platform
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from tuneglm.doctor.finding import Finding

LIBRARIES = ("torch", "transformers", "peft", "accelerate", "tokenizers", "safetensors")
# extra → (its modules, what needs it)
EXTRAS = {
    "quant": (("bitsandbytes",), "weights in 8 and 4 bits"),
    "shard": (("deepspeed",), "ZeRO-2 and ZeRO-3"),
    "web": (("gradio",), "the page"),
    "api": (("fastapi", "uvicorn", "prometheus_client"), "serving"),
    "eval": (("jieba", "nltk", "rouge_chinese", "rouge_score", "sacrebleu"), "BLEU and ROUGE"),
    "suites": (("lm_eval",), "C-Eval, CMMLU, MMLU"),
    "gguf": (("gguf",), "GGUF files"),
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
    for extra, (modules, what) in EXTRAS.items():
        missing = [name for name in modules if find_spec(name) is None]
        if missing:
            yield Finding(
                extra,
                "note",
                f"{what}: {', '.join(missing)} not installed",
                f'if you want that: pip install "tuneglm[{extra}]"',
            )
        else:
            found = version_of(modules[0].replace("_", "-"))
            yield Finding(extra, "well", f"{what}: {modules[0]} {found}")
