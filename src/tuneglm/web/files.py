"""Workplace: the folder of one person, and the only paths that the page reads and writes.

    WORK/NAME/            a run
    WORK/uploads/FILE     data that was given
    WORK/exports/NAME/    whole weights
    WORK/processes/KIND/  what an evaluation, an export prints
    WORK/users/NAME/      the workplace of somebody who gave a password

Whatever comes from a browser is the name of one thing in one of these folders. A name
that leads elsewhere, by `..`, by a slash or by a symbolic link, is refused.
"""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tuneglm.errors import DataError, OutputError, UserError

UPLOADS, EXPORTS, USERS, PROCESSES = "uploads", "exports", "users", "processes"
RESERVED = (UPLOADS, EXPORTS, USERS, PROCESSES)
# one part of a path: it begins with a letter, a digit or an underscore
_NAME = re.compile(r"\w[\w .()+-]{0,79}")
_DATA_ENDINGS = (".json", ".jsonl", ".csv", ".tsv", ".txt", ".parquet", ".arrow")
_PACKED_ENDINGS = (".gz", ".bz2", ".xz", ".zst", ".zip")
# what an export is called until it is whole, and where it is other than its source
NOT_EXPORTED = (".unfinished", ".different")
MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Workplace:
    """One person's folder.

    root        it is made where it is missing
    upload      the largest file that is taken, in bytes
    room        what all uploads may take together, in bytes
    """

    root: Path
    upload: int = 200 * MEGABYTE
    room: int = 2000 * MEGABYTE

    def of_user(self, user: str) -> "Workplace":
        """The workplace of somebody who gave a password."""
        folder = self._folder(USERS)
        return Workplace(inside(folder, user), self.upload, self.room)

    def run(self, name: str) -> Path:
        """The folder of a run, which need not be there."""
        if name in RESERVED:
            raise OutputError(f"`{name}` is a folder of the page itself.", "choose another name")
        return inside(self.root, name)

    def runs(self) -> Iterator[Path]:
        """The folders that hold a run."""
        for folder in self._children(self.root):
            if folder.name not in RESERVED and (folder / "run.yaml").is_file():
                yield folder

    def export(self, name: str) -> Path:
        """The folder of exported weights, which need not be there."""
        return inside(self._folder(EXPORTS), name)

    def exported(self) -> list[Path]:
        """The folders of all exports that came to their end."""
        folders = [
            folder
            for folder in self._children(self.root / EXPORTS)
            if folder.suffix not in NOT_EXPORTED
        ]
        return [each for each in folders if is_answering(each) or any(each.glob("*.gguf"))]

    def exports(self) -> Iterator[Path]:
        """Those of them that can be talked to."""
        return filter(is_answering, self.exported())

    def process(self, kind: str) -> Path:
        """The folder of the last command of a kind that belongs to no run."""
        return inside(self._folder(PROCESSES), kind)

    def data(self) -> dict[str, Path]:
        """Name → file: what was uploaded, and the rows that the demonstration wrote."""
        found = {path.name: path for path in self._children(self.root / UPLOADS, files=True)}
        for folder in self._children(self.root):
            if folder.name.endswith("-data"):
                files = self._children(folder, files=True)
                found |= {f"{folder.name}/{path.name}": path for path in files}
        return {name: path for name, path in found.items() if _is_data(path.name)}

    def data_file(self, name: str) -> Path:
        """A file of `data`; raises DataError where there is none of that name."""
        files = self.data()
        if name not in files:
            raise DataError(f"There is no data file `{name}` here.", "upload it first")
        return files[name]

    def save_upload(self, source: Path, name: str) -> Path:
        """Copy an uploaded file to its place, under a name that is free; it is named so."""
        plain = re.sub(r"[^\w.()+-]+", "-", Path(name.replace("\\", "/")).name).lstrip(".-")
        if not _is_data(plain):
            raise DataError(
                f"`{name}` is no file of rows by its name.",
                f"it should end with {', '.join(_DATA_ENDINGS)}, or one of these and .gz",
            )
        size = source.stat().st_size
        if size > self.upload:
            raise DataError(
                f"`{plain}` has {megabytes(size)}, and a file may have {megabytes(self.upload)}.",
                "take a part of it, or start the page with a larger --max-upload",
            )
        if self.used() + size > self.room:
            raise DataError(
                f"Your uploads would take more than {megabytes(self.room)}.",
                "delete one that is not needed any more",
            )
        target = _free(inside(self._folder(UPLOADS), plain[-80:].lstrip(".-")))
        with source.open("rb") as reader, target.open("xb") as writer:
            shutil.copyfileobj(reader, writer)
        return target

    def delete_uploads(self, *names: str) -> None:
        """Remove uploaded files; raises DataError, and removes none, where one was not uploaded."""
        paths = [inside(self.root / UPLOADS, name) for name in names]
        for path in paths:
            if not path.is_file():
                raise DataError(f"`{path.name}` was not uploaded here.")
        for path in paths:
            path.unlink()

    def used(self) -> int:
        """Bytes of all uploads."""
        return sum(path.stat().st_size for path in self._children(self.root / UPLOADS, files=True))

    def _folder(self, name: str) -> Path:
        folder = self.root / name
        if folder.is_symlink():
            raise OutputError(f"`{folder}` is a link.", "put a folder in its place")
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @staticmethod
    def _children(folder: Path, *, files: bool = False) -> list[Path]:
        """Folders, or files, that are no links, by name."""
        if folder.is_symlink() or not folder.is_dir():
            return []
        wanted = Path.is_file if files else Path.is_dir
        return sorted(
            path
            for path in folder.iterdir()
            if not path.is_symlink() and wanted(path) and _NAME.fullmatch(path.name)
        )


def is_answering(folder: Path) -> bool:
    """Whether a folder holds a model, or an adapter of one."""
    return any((folder / name).is_file() for name in ("config.json", "adapter_config.json"))


def inside(folder: Path, name: str) -> Path:
    """`folder / name`; raises OutputError for a name that is not one plain part of a path."""
    path = folder / name if _NAME.fullmatch(name) else None
    if path is None or name.endswith((".", " ")):
        raise OutputError(
            f"`{name}` is not a name.", "letters, digits, `-`, `_` and `.`; no folder before it"
        )
    if path.is_symlink() or path.resolve() != folder.resolve() / name:
        raise OutputError(f"`{name}` leads out of its folder.", "links are not followed here")
    return path


def work_folder(root: Path) -> Path:
    """The folder of the whole page, made where it is missing; raises OutputError."""
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"Cannot make the folder `{root}`: {error.strerror}.") from None
    return root.resolve()


def size_in_bytes(megabytes: int) -> int:
    """Of what the command line says in megabytes."""
    if megabytes < 1:
        raise UserError(f"`{megabytes}` MB is no size for an upload.", "give 1 or more")
    return megabytes * MEGABYTE


def _is_data(name: str) -> bool:
    suffixes = [suffix.lower() for suffix in Path(name).suffixes]
    if suffixes and suffixes[-1] in _PACKED_ENDINGS:
        suffixes.pop()
    return bool(suffixes) and suffixes[-1] in _DATA_ENDINGS


def _free(path: Path) -> Path:
    """`rows.json` → itself, or the first of `rows-2.json`, `rows-3.json` … that is not there."""
    number, found = 2, path
    while found.exists() or found.is_symlink():
        stem, dot, rest = path.name.partition(".")
        found = path.with_name(f"{stem}-{number}{dot}{rest}")
        number += 1
    return found


def megabytes(size: int) -> str:
    """`200 MB`, `12 kB`."""
    return f"{size / MEGABYTE:,.0f} MB" if size >= MEGABYTE else f"{size / 1000:,.0f} kB"
