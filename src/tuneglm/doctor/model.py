"""A model's folder, an adapter, a run: whether it is whole, and whether it fits here."""

from collections.abc import Callable, Iterator
from pathlib import Path

from tuneglm.checkpoints import LOG_FILE, RUN_FILE, is_finished, run_within
from tuneglm.doctor.finding import Finding, of_error
from tuneglm.doctor.weights import misfit
from tuneglm.errors import UserError
from tuneglm.hub import looks_like_id, near_folder, no_folder
from tuneglm.models.adapters import is_adapter
from tuneglm.models.bases import doubt_bases
from tuneglm.models.chain import kind_of, with_earlier
from tuneglm.models.loading import (
    base_folder,
    load_tokenizer,
    local_folder,
    published_layout,
    resolved_family,
)
from tuneglm.models.packed import packed_bits
from tuneglm.models.precision import best_device
from tuneglm.models.weights import read_json, read_tensors, weight_files
from tuneglm.plan.capacity import device_memory, gib
from tuneglm.resuming import checkpoints_of, newest_checkpoint

SAID = "你好, hello."


def model(path: str) -> Iterator[Finding]:
    """What there is to be said of it; an id of a hub is not fetched."""
    if not Path(path).exists() and looks_like_id(path):
        yield _not_here(path)
        return
    try:
        folder = local_folder(run_within(path))
    except UserError as error:
        yield of_error("model", error)
        return
    if (folder / RUN_FILE).is_file():
        yield from _run(folder)
        if not is_finished(folder):
            return
    if is_adapter(folder):
        yield from _adapter(folder)
    else:
        yield from _whole(folder)
    yield from _found("tokenizer", lambda: _tokenizer(folder))


def _not_here(path: str) -> Finding:
    """An id of a hub, or a folder whose name was mistyped."""
    if near_folder(path):
        return of_error("model", no_folder(path))
    return Finding(
        "model",
        "note",
        f"there is no folder `{path}`: it would be asked of the hub, as an id",
        f"tuneglm chat {path} fetches it; a folder can be looked at here",
    )


def _found(what: str, look: Callable[[], str]) -> Iterator[Finding]:
    """What looking found; an error of a person's is a finding as well."""
    try:
        yield Finding(what, "well", look())
    except UserError as error:
        yield of_error(what, error)


def _run(folder: Path) -> Iterator[Finding]:
    checkpoint, notes = newest_checkpoint(folder)
    for note in notes:
        yield Finding("checkpoint", "note", note)
    if is_finished(folder):
        count = len(checkpoints_of(folder))
        kept = "1 checkpoint" if count == 1 else f"{count} checkpoints"
        logged = "" if (folder / LOG_FILE).is_file() else ", no log"
        yield Finding("run", "well", f"{folder} is finished, {kept}{logged}")
    else:
        behind = f"; the newest checkpoint is {checkpoint}" if checkpoint else ""
        yield Finding(
            "run",
            "note",
            f"{folder} is not finished{behind}",
            f"go on with it: tuneglm train {folder / RUN_FILE}",
        )


def _adapter(folder: Path) -> Iterator[Finding]:
    def chain() -> str:
        earlier = [str(each) for each, is_earlier in with_earlier([folder]) if is_earlier]
        behind = f", on top of {', '.join(earlier)}" if earlier else ""
        return f"{folder} holds {kind_of(folder)}{behind}"

    yield from _found("adapter", chain)
    try:
        base = base_folder(folder)
        doubt_bases([folder], base)
    except UserError as error:
        yield of_error("base", error)
        return
    yield from _whole(base, "base")


def _whole(folder: Path, what: str = "model") -> Iterator[Finding]:
    def family() -> str:
        found = resolved_family(folder)
        layout = "published" if published_layout(found, folder) is not None else "native"
        bits = packed_bits(read_json(folder / "config.json"))
        packed = f", packed in {bits} bits" if bits else ""
        return f"{folder}: family {found.name}, {layout} layout{packed}"

    yield from _found(what, family)
    try:
        files = weight_files(folder)
        size = sum(file.stat().st_size for file in files)
        count = sum(1 for file in files for _ in read_tensors(file))
        other = misfit(folder, resolved_family(folder))
    except UserError as error:
        yield of_error("weights", error)
        return
    if other is not None:
        remedy = "config.json and the weights are of different models, or a shard is missing"
        yield Finding("weights", "ill", other, remedy)
        return
    amount = f"{len(files)} file{'' if len(files) == 1 else 's'}"
    yield Finding("weights", "well", f"{count} in {amount}, {gib(size)} GiB")
    yield from _fits(folder, size)


def _fits(folder: Path, size: int) -> Iterator[Finding]:
    device = best_device()
    free = device_memory(device)
    if free is None:
        return
    words = f"weights of {gib(size)} GiB, {gib(free)} GiB free on {device.type}"
    if size < free:
        yield Finding("room", "well", words, f"for a run: tuneglm plan model.path={folder}")
    else:
        yield Finding(
            "room", "note", words, f"model.bits=4; tuneglm plan model.path={folder} model.bits=auto"
        )


def _tokenizer(folder: Path) -> str:
    tokenizer = load_tokenizer(folder)
    ids = tokenizer(SAID, add_special_tokens=False)["input_ids"]
    back = str(tokenizer.decode(ids)).strip()
    said = "reads back what it wrote" if back == SAID else f"`{SAID}` is read back as `{back}`"
    return f"{len(tokenizer):,} tokens; {said}"
