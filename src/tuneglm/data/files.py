"""Reading: a file, a folder, a pattern or an archive → its rows, each with where it is.

    path ──▶ files ──containers──▶ streams ──▶ json_rows · table_rows · arrow_rows ──▶ RawRow
                                   (unpacked)   over text_blocks (any encoding)

What a file is, is told by its first bytes; its name decides only between tables,
plain text and JSON where the content allows more than one. A row that is broken by itself
comes out as a RowError, for the caller to stop at or to skip; what makes the file
unreadable is a DataError. Little of a file is in memory at once, however large it is.
"""

import errno
import json
import lzma
import os
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tuneglm.data.arrow_rows import arrow_rows
from tuneglm.data.columns import listed, nearest
from tuneglm.data.containers import Stream, ending, is_data, not_read, streams
from tuneglm.data.json_list import json_list
from tuneglm.data.json_rows import NumberedRow, json_lines
from tuneglm.data.other_content import no_data_in, refuse_other_content
from tuneglm.data.problems import MISSING
from tuneglm.data.table_rows import plain_lines, table_rows
from tuneglm.data.text_blocks import Say, TextBlocks
from tuneglm.errors import DataError


@dataclass(frozen=True, slots=True)
class RawRow:
    """What a file gave.

    file    its path; within an archive `a.zip/inner.jsonl`
    line    the line on which the row begins, from 1; of Parquet and Arrow its number
    number  its number within `file`, from 1
    value   the row, or the RowError that says why there is none
    """

    file: str
    line: int
    number: int
    value: object


# what a person should be told about how files were read
Notes = list[str]
# takes what is wrong with a file
Broken = Callable[[DataError], None]

_ARROW_KINDS = {b"PAR1": "Parquet", b"ARROW1": "Arrow", b"\xff\xff\xff\xff": "Arrow stream"}
_TABLES = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
_TEXTS = (".txt", ".text")
_LINES = (".jsonl", ".ndjson")
_OBJECT = re.compile(rb'\s*\{\s*["}]')
_LIST = re.compile(rb'\s*\[\s*(\{\s*["}]|\])')
_PATTERN = re.compile(r"[*?\[]")


def read_rows(
    path: Path,
    notes: Notes | None = None,
    content: Path | None = None,
    broken: Broken | None = None,
) -> Iterator[RawRow]:
    """The rows of all files that `path` names, in order; of a pipe, `content` holds what came.

    To `notes` is added, while reading, what was found out and not asked for: a
    sentence for an encoding, for the files of a folder, for files left out. `broken` gets what is
    wrong with a file that cannot be read, or not further, and the next one follows; without it
    that is raised.
    """
    say: Say = (lambda sentence: None) if notes is None else notes.append
    for file in data_files(path, say):
        try:
            yield from _rows_of(file, content or file, say)
        except DataError as error:
            if broken is None:
                raise
            broken(error)


def data_files(path: Path, say: Say = lambda _: None) -> list[Path]:
    """The files that a path names: itself, those in a folder, those that fit a pattern."""
    if path.is_dir():
        if not os.access(path, os.R_OK | os.X_OK):
            raise DataError(f"`{path}` cannot be read: {os.strerror(errno.EACCES)}.")
        folder = path
        found = sorted(file.relative_to(path) for file in path.rglob("*") if file.is_file())
        data = [file for file in found if is_data(file.as_posix())]
        found = [file for file in found if not any(part[0] == "." for part in file.parts)]
    elif path.exists() or not _PATTERN.search(str(path)):
        return [path]
    else:
        folder, root = Path(), Path(path.anchor)
        found = sorted(file for file in root.glob(str(path.relative_to(root))) if file.is_file())
        if not found:
            raise _missing(path, f"No file fits `{path}`.")
        # a pattern that names no file by a known ending means them all
        data = [file for file in found if is_data(file.name)] or found
    others = [str(file) for file in found if file not in data]
    if not data:
        raise no_data_in(str(path), others)
    if others:
        say(not_read(str(path), others))
    if len(data) > 1:
        say(f"`{path}`: {len(data)} files are read: {listed([str(file) for file in data])}")
    return [folder / file for file in data]


def _rows_of(path: Path, content: Path, say: Say) -> Iterator[RawRow]:
    try:
        with content.open("rb") as file:
            for stream in streams(str(path), file, file.seekable(), say):
                for number, (line, value) in enumerate(_rows(stream, say), 1):
                    yield RawRow(stream.name, line, number, value)
    except DataError as error:
        error.at = error.at or (str(path), 1, "unreadable")
        raise
    except FileNotFoundError:
        raise _missing(path, f"There is no file `{path}`.") from None
    # the last of them is zipfile's, of what a damaged byte says of a version or a way to pack
    except (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError) as error:
        raise _damaged(path, error) from None
    except OSError as error:
        if error.strerror is None:  # of gzip, bz2 and zstd, not of the system
            raise _damaged(path, error) from None
        raise DataError(f"`{path}` cannot be read: {error.strerror}.") from None


def _rows(stream: Stream, say: Say) -> Iterator[NumberedRow]:
    """By what is in the file, and then by its name."""
    for beginning, kind in _ARROW_KINDS.items():
        if stream.start.startswith(beginning):
            return arrow_rows(stream, kind)
    refuse_other_content(stream.name, stream.start)
    text = TextBlocks(stream.name, stream.blocks(), say)
    if not text.head.strip():
        raise DataError(
            f"`{stream.name}` is empty.", "expected a list [{…}, {…}], one object a line or a table"
        )
    name = ending(stream.name)
    if name not in _TABLES and name not in _TEXTS:
        return _json(text, name in _LINES)
    is_list = _LIST.match(text.head) is not None
    if is_list or _OBJECT.match(text.head):
        say(f"`{stream.name}` holds JSON{'' if is_list else ' lines'}: read as such")
        return _json(text, not is_list)
    return table_rows(text, _TABLES[name], say) if name in _TABLES else plain_lines(text, say)


def _json(text: TextBlocks, by_lines: bool) -> Iterator[NumberedRow]:
    """A list, or lines; a file that is called `.jsonl` holds lines whatever its first one is."""
    start = text.head.lstrip()
    if start[:1] == b"[" and not (by_lines and _is_whole_line(start)):
        return json_list(text)
    if start[:1] == b"{":
        _refuse_one_object(text)
    elif not by_lines:
        line = text.head[: len(text.head) - len(start)].count(b"\n") + 1
        found = start[:60].decode("utf-8", "replace").splitlines()[0][:20]
        named = "if it is a table or plain text, call it .csv, .tsv or .txt"
        if Path(text.name).is_fifo():
            named += ": write what comes through the pipe into such a file"
        raise DataError(
            f"`{text.name}:{line}`: expected a list `[{{…}}, …]` or one object `{{…}}` a line, "
            f"found `{found}`.",
            named,
            at=(text.name, line, "bad_json"),
        )
    return json_lines(text)


def _is_whole_line(start: bytes) -> bool:
    """Whether the first line is a JSON value of its own, and others follow it."""
    first, _, others = start.partition(b"\n")
    try:
        json.loads(first)
    except ValueError:
        return False
    return bool(others.strip())


def _refuse_one_object(text: TextBlocks) -> None:
    """`{` alone on a line is no row: all is one object, or each row fills several lines."""
    first, _, rest = text.head.strip().partition(b"\n")
    last, following = first.rstrip()[-1:], rest.lstrip()[:1]
    if last != b"[" and (last not in (b"{", b",") or following in (b"{", b"")):
        return
    inside = re.match(rb'\{\s*"([^"]*)"\s*:\s*\[\s*\{', text.head.strip())
    key = inside[1].decode("utf-8", "replace") if inside else None
    raise DataError(
        f"`{text.name}`: expected a list `[{{…}}, …]` or one object `{{…}}` a line, "
        "found an object over several lines.",
        "write each object on one line (jq -c . FILE > NEW)"
        if key is None
        else f"the list under `{key}` alone should be the file (jq '.\"{key}\"' FILE > NEW)",
    )


def _damaged(path: Path, error: Exception) -> DataError:
    reason = str(error).splitlines()[0].rstrip(".") if str(error) else "it ends too early"
    return DataError(
        f"`{path}` is a damaged archive, or one cut short: {reason}.",
        "fetch or copy it again",
        at=(str(path), 1, "unreadable"),
    )


def _missing(path: Path, sentence: str) -> DataError:
    return DataError(sentence, _near_files(path), at=(str(path), 1, MISSING))


def _near_files(path: Path) -> str:
    if not path.parent.is_dir():
        return f"the folder `{path.parent}` does not exist either"
    names = sorted(child.name for child in path.parent.iterdir() if child.is_file())
    near = nearest(path.name, names)
    if near is not None:
        return f"did you mean `{path.parent / near}`?"
    return f"in `{path.parent}` there is: {listed(names) or 'nothing'}"
