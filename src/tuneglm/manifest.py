"""What makes a checkpoint whole: a list of its files with their digests, written last.

    OUTPUT/unfinished/checkpoint-20   being written; what a killed run leaves here is removed
    OUTPUT/checkpoint-20              all its files on the disk, sealed, then moved here
        manifest.json                 sizes and digests, the step, the course of the run

So a checkpoint that can be seen is whole, unless a disk or a copy damaged it
later: then its digests say so.
"""

import json
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

MANIFEST_FILE = "manifest.json"
UNFINISHED = "unfinished"
CHUNK = 2**24
THREADS = 8


@dataclass(frozen=True)
class Course:
    """What decides which rows a step sees, which weights it begins with, and how it rounds.

    data         fingerprint of the rows
    rows_a_step  rows of one step, all processes and accumulated batches together
    processes    each has random numbers of its own
    base         fingerprint of the model's files; empty where it was not taken
    by_onednn    whether oneDNN multiplied (models/products.py); None: before that was kept
    """

    data: str = ""
    rows_a_step: int = 0
    processes: int = 1
    base: str = ""
    by_onednn: bool | None = None


@dataclass(frozen=True)
class Manifest:
    """What a checkpoint is, and what its files were when they were written.

    resumable  False for one that holds the weights alone
    files      name → [bytes, digest]
    """

    step: int
    course: Course
    resumable: bool = True
    files: dict[str, list[Any]] = field(default_factory=dict)


def seal(checkpoint: Path, step: int, course: Course, *, resumable: bool) -> None:
    """Write the manifest of a folder to which nothing will be added."""
    flush(checkpoint)
    files = {
        name: [path.stat().st_size, digest]
        for (name, path), digest in _with_digests(sorted(_files(checkpoint)))
    }
    content = asdict(Manifest(step, course, resumable, files))
    path = checkpoint / MANIFEST_FILE
    path.write_text(json.dumps(content | {"seal": _seal_of(content)}, indent=1), encoding="utf-8")
    _flush(path)
    _flush(checkpoint)


def read_manifest(checkpoint: Path) -> Manifest | None:
    """The manifest of a checkpoint; None where there is none, or a damaged one."""
    try:
        content = json.loads((checkpoint / MANIFEST_FILE).read_text(encoding="utf-8"))
        sealed = content.pop("seal")
        if sealed != _seal_of(content):
            return None
        return Manifest(**content | {"course": Course(**content["course"])})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def problem_of(checkpoint: Path) -> str | None:
    """Why a checkpoint cannot be resumed, to be read after its name; None where it is whole."""
    manifest = read_manifest(checkpoint)
    if manifest is None:
        there = (checkpoint / MANIFEST_FILE).exists()
        return f"its `{MANIFEST_FILE}` is damaged" if there else f"it lacks `{MANIFEST_FILE}`"
    if not manifest.resumable:
        return "it holds the weights alone"
    for name, (size, _) in manifest.files.items():
        path = checkpoint / name
        if not path.is_file():
            return f"it lacks `{name}`"
        if path.stat().st_size != size:
            return f"its `{name}` has {path.stat().st_size:,} bytes instead of {size:,}"
    files = [(name, checkpoint / name) for name in manifest.files]
    for (name, _), digest in _with_digests(files):
        if digest != manifest.files[name][1]:
            return f"its `{name}` is damaged"
    return None


def publish(finished: Path, place: Path) -> None:
    """Make a sealed checkpoint visible at `place`; one of the same step makes room."""
    if place.exists():
        discard(place)
    finished.rename(place)
    _flush(place.parent)


def discard(checkpoint: Path) -> None:
    """Remove a checkpoint: from sight at once, then from the disk."""
    unfinished = checkpoint.parent / UNFINISHED
    unfinished.mkdir(exist_ok=True)
    old = unfinished / f"old-{checkpoint.name}"
    shutil.rmtree(old, ignore_errors=True)
    checkpoint.rename(old)
    shutil.rmtree(old, ignore_errors=True)


def write_whole(path: Path, text: str) -> None:
    """Write a file of which a run that is killed meanwhile leaves the old state or the new one."""
    unfinished = path.parent / UNFINISHED / path.name
    unfinished.parent.mkdir(parents=True, exist_ok=True)
    unfinished.write_text(text, encoding="utf-8")
    _flush(unfinished)
    unfinished.replace(path)
    # a checkpoint may be in the making beside it
    with suppress(OSError):
        unfinished.parent.rmdir()
    _flush(path.parent)


def flush(folder: Path) -> None:
    """Have the system write a folder's files to the disk: until then a power cut loses them."""
    for _, path in _files(folder):
        _flush(path)
    for path in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        _flush(path)


def _flush(path: Path) -> None:
    if os.name == "nt" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in folder.rglob("*"):
        if path.is_file() and path.name != MANIFEST_FILE:
            yield path.relative_to(folder).as_posix(), path


def _with_digests(
    files: list[tuple[str, Path]],
) -> Iterator[tuple[tuple[str, Path], str]]:
    """Each file with the digest of the digests of its parts, which several threads make."""
    with ThreadPoolExecutor(THREADS) as threads:
        for name, path in files:
            starts = range(0, path.stat().st_size, CHUNK)
            parts = threads.map(partial(_digest_of_part, path), starts)
            yield (name, path), blake2b(b"".join(parts), digest_size=32).hexdigest()


def _digest_of_part(path: Path, start: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return blake2b(file.read(CHUNK), digest_size=32).digest()


def _seal_of(content: dict[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True)
    return blake2b(text.encode(), digest_size=32).hexdigest()
