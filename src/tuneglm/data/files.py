"""Reading: a file → its rows, each with the line it begins on.

JSON (a list of objects) and JSON lines are told apart by what is in the file,
never by its name. A row that is broken by itself comes out as a RowError, for
the caller to stop at or to skip; what makes the file unreadable is a DataError.
"""

import codecs
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from tuneglm.data.columns import RowError, listed, nearest
from tuneglm.errors import DataError

_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()
_BOM = codecs.BOM_UTF8
_FIX = "correct the file there"

# first bytes of what is often found where data should be → what it is, what to do
_OTHER_CONTENT: dict[bytes, tuple[str, str]] = {
    b"version https://git-lfs": (
        "is a git-lfs pointer, not the data",
        "run `git lfs pull` where it was cloned, or fetch the file itself",
    ),
    b"\x1f\x8b": ("is compressed by gzip", "unpack it first: gunzip FILE"),
    b"PK\x03\x04": ("is a zip archive", "unpack it first: unzip FILE"),
    b"PAR1": ("is a Parquet file", "write it as JSON lines first"),
    b"<": ("is a web page or XML, not JSON", "fetch the file itself (its `raw` or `resolve` link)"),
    b"\xff\xfe": ("is UTF-16, not UTF-8", "convert with: iconv -f UTF-16 -t UTF-8 FILE > NEW"),
    b"\xfe\xff": ("is UTF-16, not UTF-8", "convert with: iconv -f UTF-16 -t UTF-8 FILE > NEW"),
    b"[\0": ("is UTF-16, not UTF-8", "convert with: iconv -f UTF-16LE -t UTF-8 FILE > NEW"),
    b"{\0": ("is UTF-16, not UTF-8", "convert with: iconv -f UTF-16LE -t UTF-8 FILE > NEW"),
    b"\0": ("is UTF-16 or no text at all", "convert with: iconv -f UTF-16BE -t UTF-8 FILE > NEW"),
}


def read_rows(path: Path) -> Iterator[tuple[int, object]]:
    """(line, row) in the file's order; a row is what JSON gave, or a RowError in its place."""
    try:
        with path.open("rb") as file:
            # peek, not seek: the file may be a pipe
            start = file.peek(4096).removeprefix(_BOM).lstrip()
            _refuse_other_content(path, start)
            yield from _read_lines(file) if start[:1] == b"{" else _read_list(path, file)
    except FileNotFoundError:
        raise DataError(f"There is no file `{path}`.", _near_files(path)) from None
    except IsADirectoryError:
        inside = sorted(child.name for child in path.iterdir() if "json" in child.suffix)
        hint = f"it holds: {listed(inside)}" if inside else "it holds no JSON file"
        raise DataError(f"`{path}` is a folder, not a file.", hint) from None
    except OSError as error:
        raise DataError(f"`{path}` cannot be read: {error.strerror or error}.") from None


def _read_lines(file: BinaryIO) -> Iterator[tuple[int, object]]:
    """JSON lines: one object a line; blank lines are allowed."""
    offset = 0
    for line, data in enumerate(file, 1):
        content = data.removeprefix(_BOM) if line == 1 else data
        if not content.isspace():
            yield line, _one_line(content, offset)
        offset += len(data)


def _one_line(data: bytes, offset: int) -> object:
    """The value of one line, or the RowError that says why there is none."""
    try:
        text = data.decode().strip(" \t\r\n")
        value, end = _decode(text, 0)
    except UnicodeDecodeError as error:
        where = f"byte {offset + error.start + 1} of the file"
        return RowError(f"{where} is not UTF-8", _encoding_remedy(data, error))
    except json.JSONDecodeError as error:
        if _is_cut_short(error):
            return RowError(
                "the row is not complete on this line",
                "write each object on one line, or all of them as a list [{…}, {…}]",
            )
        return RowError(f"not JSON: {_what(error)}", _FIX)
    if end < len(text):
        found = text[end : end + 20]
        return RowError(f"expected the end of the line after the object, found `{found}`", _FIX)
    return value


def _read_list(path: Path, file: BinaryIO) -> Iterator[tuple[int, object]]:
    """A JSON list, row by row, so that each row knows its line and little is held at once."""
    text = _decoded(path, file.read())
    position = _after_space(text, 0)
    if position == len(text):
        raise DataError(f"`{path}` is empty.", "expected a list [{…}, {…}] or one object a line")
    if text[position] != "[":
        raise DataError(
            f"{_place(path, text, position)}: expected a list `[{{…}}, …]` or one object "
            f"`{{…}}` a line, found `{text[position : position + 20].splitlines()[0]}`.",
            "tuneglm reads JSON and JSON lines",
        )
    try:
        yield from _list_rows(text, position + 1)
    except json.JSONDecodeError as error:
        place = _place(path, text, error.pos)
        if _is_cut_short(error):
            raise DataError(
                f"{place}: the file ends in the middle of the list: it is cut short.",
                "fetch or copy it again; a whole list ends with `]`",
            ) from None
        raise DataError(f"{place}: not JSON: {_what(error)}.", _FIX) from None


def _list_rows(text: str, position: int) -> Iterator[tuple[int, object]]:
    line, counted = 1, 0
    position = _after_space(text, position)
    while text[position : position + 1] != "]" or counted:
        value, end = _decode(text, position)
        line, counted = line + text.count("\n", counted, position), position
        yield line, value
        position = _after_space(text, end)
        if text[position : position + 1] == "]":
            break
        if text[position : position + 1] != ",":
            raise json.JSONDecodeError("expected `,` or `]` after a row", text, position)
        position = _after_space(text, position + 1)
    rest = _after_space(text, position + 1)
    if rest < len(text):
        raise json.JSONDecodeError("expected nothing after the list", text, rest)


def _decode(text: str, position: int) -> tuple[object, int]:
    """One JSON value and where it ends; whatever is wrong is a JSONDecodeError."""
    try:
        return _DECODER.raw_decode(text, position)
    except RecursionError:
        raise json.JSONDecodeError("nested too deeply", text, position) from None
    except json.JSONDecodeError:
        raise
    except ValueError:  # Python's own limit on the digits of a number
        raise json.JSONDecodeError("a number with too many digits", text, position) from None


def _is_cut_short(error: json.JSONDecodeError) -> bool:
    unterminated = error.msg.startswith("Unterminated string")
    return unterminated or not error.doc[error.pos :].strip()


def _what(error: json.JSONDecodeError) -> str:
    """The decoder's complaint, and what stands there."""
    message = error.msg[:1].lower() + error.msg[1:].removesuffix(" at").removesuffix(":")
    found = error.doc[error.pos : error.pos + 20].encode("utf-8", "backslashreplace").decode()
    return f"{message}, found {found!r} in column {error.colno}".replace("'", "`")


def _after_space(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    assert match is not None
    return match.end()


def _place(path: Path, text: str, position: int) -> str:
    line = text.count("\n", 0, position) + 1
    return f"`{path}:{line}`"


def _decoded(path: Path, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # utf-8-sig counts from after the mark
        start = error.start + (len(_BOM) if data.startswith(_BOM) else 0)
        line = data.count(b"\n", 0, start) + 1
        remedy = _encoding_remedy(data, error)
        raise DataError(
            f"`{path}:{line}`: byte {start + 1} of the file is not UTF-8.", remedy
        ) from None


def _encoding_remedy(data: bytes, error: UnicodeDecodeError) -> str:
    """GBK is what Chinese files are in when they are not UTF-8; a few bad bytes are damage."""
    window = data[error.start : error.start + 4000]
    good = data[: error.start]
    try:
        guess = codecs.getincrementaldecoder("gb18030")().decode(window)
    except UnicodeDecodeError:
        guess = ""
    foreign = [char for char in guess if char > "\x7f"]
    chinese = sum("\u3000" <= char <= "\u9fff" or char > "\uff00" for char in foreign)
    if good.isascii() and foreign and chinese > 0.8 * len(foreign):
        return "it looks like GBK; convert with: iconv -f GBK -t UTF-8 FILE > NEW"
    return "write it as UTF-8 (iconv -f ENCODING -t UTF-8 FILE > NEW), or fetch it again if damaged"


def _refuse_other_content(path: Path, start: bytes) -> None:
    for magic, (what, hint) in _OTHER_CONTENT.items():
        if start.startswith(magic):
            raise DataError(f"`{path}` {what}.", hint.replace("FILE", str(path)))


def _near_files(path: Path) -> str:
    if not path.parent.is_dir():
        return f"the folder `{path.parent}` does not exist either"
    names = sorted(child.name for child in path.parent.iterdir() if child.is_file())
    near = nearest(path.name, names)
    if near is not None:
        return f"did you mean `{path.parent / near}`?"
    return f"in `{path.parent}` there is: {listed(names) or 'nothing'}"
