"""What data comes in: gzip, xz, bzip2, zstd and zip → the streams inside.

Archives are known by their first bytes. Nothing is unpacked to disk but what must
be read out of order (Parquet, Arrow, an archive in an archive or from a pipe).
"""

import bz2
import gzip
import lzma
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, Any

from tuneglm.data.columns import listed
from tuneglm.data.other_content import no_data_in, refuse_other_archive
from tuneglm.data.text_blocks import BLOCK, Say
from tuneglm.errors import DataError

# what a file with data may be called, the endings of compression taken off
_TEXT_ENDINGS = (".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".tab", ".txt", ".text")
_DATA_ENDINGS = (*_TEXT_ENDINGS, ".parquet", ".arrow", ".feather", ".zip")
_COMPRESSED_ENDINGS = (".gz", ".zst", ".zstd", ".xz", ".bz2")
# files beside the data, whose names look like data
_BESIDE = {
    *("readme", "license", "licence", "notice", "changelog", "requirements", "citation"),
    *("dataset_info", "dataset_infos", "dataset_dict", "state", "configuration"),
}
# a compressed file in a compressed file is a mistake; more of them are an attack
_DEEPEST = 4


@dataclass(frozen=True, slots=True)
class Stream:
    """An unpacked file.

    name     for messages: `a.zip/inner.jsonl`
    start    its first bytes; all of them if it is small
    file     what follows `start`
    on_disk  whether `file` can be read from anywhere
    """

    name: str
    start: bytes
    file: IO[bytes]
    on_disk: bool = False

    def blocks(self) -> Iterator[bytes]:
        """All its bytes."""
        yield self.start
        while block := self.file.read(BLOCK):
            yield block

    def seekable(self) -> IO[bytes]:
        """The same from its beginning, to be read in any order; a copy unless it is on disk."""
        if self.on_disk:
            self.file.seek(0)
            return self.file
        copy = tempfile.TemporaryFile()  # noqa: SIM115  who asked for it closes it
        copy.write(self.start)
        shutil.copyfileobj(self.file, copy, BLOCK)
        copy.seek(0)
        return copy


def _zstd(file: IO[bytes]) -> IO[bytes]:
    import pyarrow

    unpacked: IO[bytes] = pyarrow.CompressedInputStream(pyarrow.PythonFile(file, mode="r"), "zstd")
    return unpacked


# first bytes → how such a file is read
_COMPRESSIONS: dict[bytes, Callable[[IO[bytes]], Any]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"\x28\xb5\x2f\xfd": _zstd,
    b"\xfd7zXZ\0": lzma.LZMAFile,
    b"BZh": bz2.BZ2File,
}
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_PARQUET = b"PAR1"


def streams(name: str, file: IO[bytes], on_disk: bool, say: Say) -> Iterator[Stream]:
    """The one stream in a file, or those in a zip in its order."""
    stream = _unpacked(Stream(name, file.read(BLOCK), file, on_disk))
    if not stream.start.startswith(_ZIP):
        yield stream
        return
    with stream.seekable() as whole, zipfile.ZipFile(whole) as archive:
        for member, inner_name in _members(name, archive, say):
            with _opened(archive, member, inner_name) as inside:
                inner = _unpacked(Stream(inner_name, inside.read(BLOCK), inside))
                if inner.start.startswith(_ZIP):
                    refuse = "is a zip in a zip, or an office document"
                    raise DataError(f"`{inner_name}` {refuse}.", f"unpack `{name}` first")
                yield inner


def is_packed(start: bytes) -> bool:
    """Whether what begins so takes less room than the rows in it."""
    return start.startswith((*_COMPRESSIONS, *_ZIP, _PARQUET))


def _unpacked(stream: Stream) -> Stream:
    for _ in range(_DEEPEST):
        opens = [opens for magic, opens in _COMPRESSIONS.items() if stream.start.startswith(magic)]
        if not opens:
            return stream
        file = opens[0](stream.seekable())
        stream = Stream(stream.name, file.read(BLOCK), file)
    raise DataError(f"`{stream.name}` is compressed {_DEEPEST} times or more.", "unpack it first")


def _members(
    name: str, archive: zipfile.ZipFile, say: Say
) -> Iterator[tuple[zipfile.ZipInfo, str]]:
    """The data files in a zip, and what they are called."""
    files = [info for info in archive.infolist() if not info.is_dir()]
    names = {_readable(info): info for info in files}
    refuse_other_archive(name, list(names))
    data = names if len(names) == 1 else dict.fromkeys(filter(is_data, names))
    others = [member for member in names if member not in data]
    if not data:
        raise no_data_in(name, others)
    if others:
        say(not_read(name, others))
    for member in data:
        yield names[member], f"{name}/{member}"


def _opened(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str) -> IO[bytes]:
    if member.flag_bits & 1:
        raise DataError(f"`{name}` is encrypted.", "unpack the archive with its password first")
    try:
        return archive.open(member)
    except NotImplementedError as error:
        raise DataError(f"`{name}` cannot be unpacked: {error}.", "unpack it first") from None


def _readable(info: zipfile.ZipInfo) -> str:
    """A name as it was written: zips without the mark of UTF-8 hold the bytes of any encoding."""
    if info.flag_bits & 0x800:
        return info.filename
    for encoding in ("utf-8", "gb18030"):
        try:
            return info.filename.encode("cp437").decode(encoding)
        except UnicodeError:
            continue
    return info.filename


def ending(name: str) -> str:
    """The ending that tells what is inside: `.csv` of `a.csv.gz`."""
    path = PurePosixPath(name)
    while path.suffix.lower() in _COMPRESSED_ENDINGS:
        path = path.with_suffix("")
    return path.suffix.lower()


def is_data(name: str) -> bool:
    """Whether a file is data by its name: by its ending, and neither hidden nor beside the data."""
    parts = PurePosixPath(name).parts
    if any(part.startswith((".", "__MACOSX")) for part in parts) or not parts:
        return False
    stem = parts[-1].partition(".")[0].lower()
    return ending(parts[-1]) in _DATA_ENDINGS and stem not in _BESIDE


def not_read(name: str, others: Sequence[str]) -> str:
    """What is said of files that lie beside the data."""
    return f"`{name}`: by their names no data, and so not read: {listed(others)}"
