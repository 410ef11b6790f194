"""export: one folder of whole weights, from a model or from what a run made of it.

    base's files ──stored──▶ weight ──merging──▶ weight ──layout, bits, type──▶ shard
    result, loaded again ──▶ its logits and token ids beside the source's
    OUTPUT.unfinished ──▶ OUTPUT

Adapters are merged weight by weight, packed layers taken apart, and what is asked for packed
again; the memory of one weight suffices. The folder appears under its name when it is whole
and has been compared with what it was made of.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tuneglm.checkpoints import is_full
from tuneglm.errors import ModelError, OutputError
from tuneglm.export.adapter_only import write_adapter
from tuneglm.export.card import export_card
from tuneglm.export.check import Checked, compare
from tuneglm.export.gguf_file import ReadBack, write_gguf
from tuneglm.export.source import Source, source_of
from tuneglm.export.streamed import keep_older_keys, write_streamed
from tuneglm.export.wanted import Export
from tuneglm.export.whole import write_whole
from tuneglm.lock import locked
from tuneglm.manifest import flush
from tuneglm.model_card import CARD_FILE
from tuneglm.models.bases import doubt_bases
from tuneglm.models.loading import load_tokenizer
from tuneglm.models.merging import OtherUpdateError

__all__ = ["Export", "Exported", "appearing", "export"]

# names of folders that are no results: being written; and found to be something else
UNFINISHED, DIFFERENT = ".unfinished", ".different"


@dataclass(frozen=True)
class Exported:
    """The folder that was written, and what the comparison found; None where there was none."""

    folder: Path
    checked: Checked | ReadBack | None = None
    # why it was not compared
    unchecked: str = ""


def export(wanted: Export) -> Exported:
    """Write the folder. Raises OutputError where it holds something already, or differs."""
    _refuse_filled(wanted.output)
    source = source_of(wanted)
    with appearing(wanted.output) as folder:
        checked, reason = _write(source, wanted, folder)
        doubt_bases(source.adapters, source.base)
        if checked is not None and checked.problem:
            raise _different(folder, wanted.output, checked.problem)
        card = export_card(wanted, source.family.name, source.given, checked)
        (folder / CARD_FILE).write_text(card, encoding="utf-8")
        mode = (folder / CARD_FILE).stat().st_mode
        for path in folder.iterdir():
            # safetensors writes for its owner alone; a team reads the folder by its own rules
            path.chmod(mode)
    return Exported(wanted.output, checked, reason)


def _write(source: Source, wanted: Export, folder: Path) -> tuple[Checked | ReadBack | None, str]:
    """What is asked for, what a comparison found, and why there is none."""
    if wanted.format == "gguf":
        refuse_prefix(source, wanted)
        return write_gguf(source, wanted, folder), ""
    if wanted.adapter_only:
        write_adapter(source, folder)
        streamed = True
    else:
        streamed = _write_model(source, wanted, folder)
    return compare(source, wanted, folder, streamed=streamed) if wanted.check else (None, "")


def _write_model(source: Source, wanted: Export, folder: Path) -> bool:
    """Weights and tokenizer; whether it was weight by weight, each rounded once."""
    refuse_prefix(source, wanted)
    tokenizer = load_tokenizer(wanted.path, family=wanted.family)
    try:
        write_streamed(source, wanted, folder)
        streamed = True
    except OtherUpdateError:
        write_whole(source, wanted, folder)
        streamed = False
    if source.layout is None:
        keep_older_keys(folder)
    tokenizer.save_pretrained(folder)
    return streamed


@contextmanager
def appearing(output: Path) -> Iterator[Path]:
    """A folder to write into, which gets its name when all is on the disk, or goes."""
    unfinished = output.with_name(output.name + UNFINISHED)
    try:
        unfinished.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"Cannot write to `{output}`: {error.strerror}.", "choose another folder for it"
        ) from None
    with locked(unfinished, 0.0, "wait until it ends, or name another folder"):
        try:
            for path in unfinished.iterdir():
                # of one that was killed
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            yield unfinished
            flush(unfinished)
            if output.is_dir():
                output.rmdir()
            unfinished.rename(output)
        except BaseException as error:
            full = is_full(error, unfinished)
            shutil.rmtree(unfinished, ignore_errors=True)
            if full:
                raise OutputError(
                    f"There is no space left for `{output}`: nothing is kept of it.",
                    "free some space and type the same command again, or name another place",
                ) from None
            if isinstance(error, KeyboardInterrupt):
                raise KeyboardInterrupt(f"Nothing is kept of `{output}`.") from None
            raise


def refuse_prefix(source: Source, wanted: Export) -> None:
    """What the attention sees beside its tokens is no product of weights, and merges into none."""
    if not source.sees_prefix:
        return
    takes_prefix = wanted.layout == "published" and wanted.format == "safetensors"
    if takes_prefix and not source.has_soft_prompt:
        # the published code reads such a folder: `pre_seq_len` in its config.json
        return
    raise ModelError(
        f"`{wanted.path}` holds a trained prefix or soft prompt, which no weights can express: its "
        "keys and values stand beside the tokens', and a server that knows none would leave them "
        "out.",
        "keep it apart: `tuneglm chat` takes its folder; a prefix goes with its model in one "
        "folder by --layout published, for the published code",
    )


def _different(folder: Path, output: Path, problem: str) -> OutputError:
    """Leave what was written under a name that says what it is."""
    place = output.with_name(output.name + DIFFERENT)
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(folder, place, copy_function=_linked)
    return OutputError(
        f"What was written is not what it was made of: {problem}.",
        f"it lies in `{place}`, not to be used; please report it with the command",
    )


def _linked(first: str, second: str) -> None:
    """The same file under a second name: the first one goes."""
    Path(second).hardlink_to(first)


def _refuse_filled(folder: Path) -> None:
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise OutputError(f"`{folder}` holds something already.", "name a new folder")
