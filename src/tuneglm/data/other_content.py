"""What is often found where data should be: said by name, with the way out."""

import re
from collections.abc import Sequence

from tuneglm.data.columns import listed
from tuneglm.errors import DataError

_SAVE_AS_CSV = "save it as `CSV UTF-8`: in Excel or WPS by File › Save as, and give that file"
_OFFICE = "is an office document, no data"
_UNPACK = "unpack it first, and give the files inside"

# first bytes → what the file is, what to do
_BEGINNINGS: dict[bytes, tuple[str, str]] = {
    b"version https://git-lfs": (
        "is a git-lfs pointer, not the data",
        "run `git lfs pull` where it was cloned, or fetch the file itself",
    ),
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": (
        "is an Excel file (.xls)",
        _SAVE_AS_CSV,
    ),
    b"7z\xbc\xaf\x27\x1c": ("is a 7z archive", _UNPACK),
    b"Rar!\x1a\x07": ("is a RAR archive", _UNPACK),
    b"\x04\x22\x4d\x18": ("is compressed by lz4", "unpack it first: lz4 -d FILE"),
    b"FEA1": ("is a Feather file of version 1", "write it as Parquet"),
    b"PARE": ("is an encrypted Parquet file", "write it without encryption"),
    b"%PDF-": ("is a PDF document", "copy its text into JSON lines or CSV"),
    **{
        bytes((0x80, protocol)): (
            "is a pickle, which can run any program",
            "write its rows as JSON lines or Parquet where they come from",
        )
        for protocol in range(2, 6)
    },
    b"SQLite format 3\0": ("is an SQLite database", "export the table as CSV"),
}
# a file inside a zip → what the zip is, what to do
_ZIPPED: dict[str, tuple[str, str]] = {
    "xl/workbook.xml": ("is an Excel workbook", _SAVE_AS_CSV),
    "xl/workbook.bin": ("is an Excel workbook", _SAVE_AS_CSV),
    "content.xml": ("is an OpenDocument file", _SAVE_AS_CSV),
    "word/document.xml": (_OFFICE, "copy its text into JSON lines or CSV"),
    "ppt/presentation.xml": (_OFFICE, "copy its text into JSON lines or CSV"),
}
_PAGE = re.compile(rb"<(!doctype|html|head|\?xml)", re.IGNORECASE)


def refuse_other_content(name: str, start: bytes) -> None:
    """A DataError where a file's first bytes are those of something else."""
    for beginning, (what, hint) in _BEGINNINGS.items():
        if start.startswith(beginning):
            raise DataError(f"`{name}` {what}.", hint.replace("FILE", name))
    if start[257:262] == b"ustar":
        raise DataError(f"`{name}` is a tar archive.", f"unpack it first: tar -xf {name}")
    if _PAGE.match(start.lstrip()):
        raise DataError(
            f"`{name}` is a web page or XML, not data.",
            "fetch the file itself (its `raw` or `resolve` link)",
        )


def refuse_other_archive(name: str, members: Sequence[str]) -> None:
    """A DataError where a zip is the file of an office program."""
    for member, (what, hint) in _ZIPPED.items():
        if member in members:
            raise DataError(f"`{name}` {what}.", hint)


def no_data_in(name: str, others: Sequence[str]) -> DataError:
    """What is said of a folder or an archive without data."""
    inside = f"it holds: {listed(others)}" if others else "it is empty"
    return DataError(
        f"`{name}` holds no data file.",
        f"{inside}; known by their names: .json, .jsonl, .csv, .tsv, .parquet, .arrow and .txt, "
        "also with .gz, .zst, .xz or in a .zip",
    )
