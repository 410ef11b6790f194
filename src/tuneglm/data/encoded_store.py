"""A data set's encoded rows in a folder: grows block by block, and is whole or can be gone on with.

    ids.bin flags.bin rows.bin   the arrays of EncodedRows, appended to
    state.json                   how long each is, what was read, counts; replaced after each block

What the files hold beyond the state is what a killed process left: it is cut off.
"""

import errno
import json
import logging
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from tuneglm.data.encoded import ROW, EncodedRows
from tuneglm.data.files import data_files
from tuneglm.data.fingerprint import digest_of_pieces, pieces_of
from tuneglm.errors import DataError

ARRAYS: dict[str, Any] = {"ids": np.dtype("<i4"), "flags": np.dtype("u1"), "rows": ROW}
STORE_NAME = re.compile(r"[0-9a-f]{32}")  # see `_store_name` in pipeline.py
STATE, LOCK = "state.json", "lock"
DAYS_KEPT = 30
SECONDS_IN_SILENCE = 3.0
SECONDS_BETWEEN_LOOKS = 0.2
# a disk that is full or only read, a folder without the right to write, or no folder at all
CANNOT_KEEP = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS),
    *(errno.ENOTDIR, errno.EEXIST, errno.ENOENT, errno.ELOOP, errno.ENAMETOOLONG),
)
PACKAGE = Path(__file__).parents[1]


log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Progress:
    """What a store holds.

    read       rows of the source that were read
    finished   whether that was all; then `digest` is of its tokens, `notes` of its reading
    sizes      entries of each array
    checks     CRC-32 of each array: thrice as fast to read as a digest, and damage is no attack
    """

    read: int = 0
    finished: bool = False
    digest: str = ""
    notes: list[str] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ARRAYS, 0))
    checks: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ARRAYS, 0))
    counts: dict[str, Any] = field(default_factory=dict)
    dataset: str = ""
    files: list[str] = field(default_factory=list)
    kinds: list[str] = field(default_factory=lambda: [""])


class EncodedStore:
    """One folder of encoded rows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.progress = _read(folder)

    def append(self, rows: EncodedRows, read: int, counts: dict[str, Any]) -> None:
        """Add a block; `read` and `counts` are those of the whole source so far."""
        files = _numbers(self.progress.files, rows.files)
        kinds = _numbers(self.progress.kinds, rows.kinds)
        table = rows.rows.copy()
        table["end"] += self.progress.sizes["ids"]
        table["file"] = np.array(files[1] or [0])[table["file"]]
        table["kind"] = np.array(kinds[1])[table["kind"]]
        sizes, checks = {}, {}
        for name, array in (("ids", rows.ids), ("flags", rows.flags), ("rows", table)):
            content = array.astype(ARRAYS[name], copy=False).tobytes()
            self._write(name, content)
            sizes[name] = self.progress.sizes[name] + len(array)
            checks[name] = crc32(content, self.progress.checks[name])
        self._save(
            replace(
                self.progress,
                read=read,
                sizes=sizes,
                checks=checks,
                counts=counts,
                dataset=rows.dataset or self.progress.dataset,
                files=files[0],
                kinds=kinds[0],
            )
        )

    def finish(self, notes: list[str]) -> None:
        """Nothing more comes; `notes` is what reading found out."""
        ends = np.ascontiguousarray(self.rows().rows["end"])
        ids, flags = (pieces_of(self.folder / f"{name}.bin") for name in ("ids", "flags"))
        digest = digest_of_pieces(ends.data, ids, flags)
        self._save(replace(self.progress, finished=True, digest=digest, notes=notes))

    def rows(self) -> EncodedRows:
        """What is held, mapped from the files."""
        state = self.progress
        arrays = {
            name: np.memmap(self.folder / f"{name}.bin", kind, "r", shape=(state.sizes[name],))
            if state.sizes[name]
            else np.zeros(0, kind)
            for name, kind in ARRAYS.items()
        }
        return EncodedRows(
            **arrays,
            dataset=state.dataset,
            files=tuple(state.files),
            kinds=tuple(state.kinds),
            digest=state.digest,
        )

    def is_sound(self) -> bool:
        """Whether the files hold what was written: a disk, or a person, may have changed them."""
        state = self.progress
        return all(
            _check(self.folder / f"{name}.bin", state.sizes[name] * kind.itemsize)
            == state.checks[name]
            for name, kind in ARRAYS.items()
        )

    def forget(self) -> None:
        """Begin anew; who has the files mapped keeps them."""
        for name in ARRAYS:
            (self.folder / f"{name}.bin").unlink(missing_ok=True)
        self.progress = Progress()

    def _write(self, name: str, content: bytes) -> None:
        path, held = self.folder / f"{name}.bin", self.progress.sizes[name]
        with path.open("r+b" if path.exists() else "wb") as file:
            file.truncate(held * ARRAYS[name].itemsize)
            file.seek(0, os.SEEK_END)
            file.write(content)

    def _save(self, progress: Progress) -> None:
        unfinished = self.folder / f"{STATE}.unfinished"
        unfinished.write_text(json.dumps(asdict(progress), ensure_ascii=False), encoding="utf-8")
        unfinished.replace(self.folder / STATE)
        self.progress = progress


def _numbers(known: list[str], names: tuple[str, ...]) -> tuple[list[str], list[int]]:
    """All names with the new ones behind, and the number of each of `names` among them."""
    places = {name: place for place, name in enumerate(dict.fromkeys([*known, *names]))}
    return list(places), [places[name] for name in names]


def _read(folder: Path) -> Progress:
    """What the state says, if the files hold it."""
    try:
        state = Progress(**json.loads((folder / STATE).read_text(encoding="utf-8")))
        held = {name: (folder / f"{name}.bin").stat().st_size for name in ARRAYS}
    except (FileNotFoundError, ValueError, TypeError):
        # nothing yet, or damaged, or of another version: made anew
        return Progress()
    whole = all(held[name] >= state.sizes[name] * kind.itemsize for name, kind in ARRAYS.items())
    return state if whole else Progress()


def _check(path: Path, size: int) -> int:
    """CRC-32 of the first bytes of a file."""
    check, left = 0, size
    if size:
        for piece in pieces_of(path):
            check = crc32(piece[:left], check)
            left -= min(left, len(piece))
    return check


def finished(folder: Path) -> EncodedStore | None:
    """The store of a folder, if it holds all that it ever will, undamaged."""
    if not (folder / STATE).is_file():
        return None
    store = EncodedStore(folder)
    if not store.progress.finished or not store.is_sound():
        return None
    with suppress(OSError):  # of others, or on a disk that is only read: good all the same
        os.utime(folder)
    return store


@contextmanager
def opened(folder: Path, hear: Callable[[int], None] = lambda _: None) -> Iterator[EncodedStore]:
    """The store of a folder, for this process alone; another one that wants it waits.

    As long as it waits, `hear` is told how many rows are read by whoever has it. Raises
    DataError where there is no room, or no right, to write.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / LOCK).open("wb") as lock:
            _wait_for(lock, folder, hear)
            store = EncodedStore(folder)
            if not store.is_sound():
                log.info("The encoded rows in `%s` are damaged: they are encoded anew.", folder)
                store.forget()
            yield store
            os.utime(folder)
    except OSError as error:
        if error.errno not in CANNOT_KEEP:
            raise
        raise DataError(
            f"Encoded rows cannot be kept in `{folder.parent}`: {error.strerror}.",
            "name another folder (data.cache=FOLDER); the same command then goes on",
        ) from None


def _wait_for(lock: Any, folder: Path, hear: Callable[[int], None]) -> None:
    """Other processes of this run, or another run on the same data, encode it once."""
    if os.name == "nt":
        return
    import fcntl

    # a lock of the process, which those that it forks do not hold
    started, said = time.monotonic(), os.environ.get("RANK", "0") != "0"
    while True:
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not said and time.monotonic() - started > SECONDS_IN_SILENCE:
                log.info("Another process encodes the same rows in `%s`: waits for it.", folder)
                said = True
            if read := _read(folder).read:
                hear(read)
            time.sleep(SECONDS_BETWEEN_LOOKS)
        else:
            return


def forget_old(folder: Path, days: float = DAYS_KEPT) -> None:
    """Remove stores that nobody opened for so many days; whatever else lies there stays."""
    oldest = time.time() - days * 86400
    for store in folder.glob("*/"):
        is_store = STORE_NAME.fullmatch(store.name) and (store / STATE).is_file()
        if is_store and not store.is_symlink() and store.stat().st_mtime < oldest:
            shutil.rmtree(store, ignore_errors=True)


def store_folder(wanted: str) -> Path:
    """Where stores lie: in the folder that a run names, or for `auto` in the user's cache."""
    if wanted != "auto":
        return Path(wanted).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "tuneglm" / "encoded"


def content_digest(path: Path) -> str:
    """Of the bytes of all files that a path names."""
    digest = blake2b()
    for file in data_files(path):
        digest.update(str(file).encode() + b"\0")
        for piece in pieces_of(file):
            digest.update(piece)
    return digest.hexdigest()


@cache
def code_digest(rooms: tuple[str, ...] = ("data", "models")) -> str:
    """Of the code in these rooms; what was kept by other code is not read again.

    Those that read, render and encode: a changed template never meets an old store.
    """
    digest = blake2b()
    for folder in rooms:
        for path in sorted((PACKAGE / folder).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()
