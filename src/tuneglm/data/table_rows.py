"""CSV, TSV and plain text → (line, row): cells by their column's name, lines as `text`.

The first row of a table names its columns. A quoted cell may hold line ends; the
line of a row is the one on which it begins.
"""

import csv
import re
from collections import deque
from collections.abc import Iterator
from io import StringIO

from tuneglm.data.columns import RowError, listed
from tuneglm.data.json_rows import NumberedRow
from tuneglm.data.text_blocks import DAMAGE, LONGEST, Say, TextBlocks
from tuneglm.errors import DataError

# what cells are separated by → how it is said
SEPARATORS = {",": "commas", "\t": "tabs", ";": "semicolons"}
# what no sound line holds: zero bytes, bytes of another encoding, and a mark at its beginning
_SUSPECT = re.compile(f"\0|^\ufeff|{DAMAGE.pattern}")


def plain_lines(text: TextBlocks, say: Say) -> Iterator[NumberedRow]:
    """A row `{"text": …}` for each line that is not blank."""
    say(f"`{text.name}` is plain text: each line is a row with the column `text`")
    lines = _Lines(text)
    for number, line in enumerate(lines, 1):
        if not line.isspace():
            yield number, _fault(lines, text) or {"text": line.rstrip("\r\n")}
        lines.held.clear()


def table_rows(text: TextBlocks, separator: str, say: Say) -> Iterator[NumberedRow]:
    """A row as `{column: cell}`; a broken one is a RowError, and reading goes on behind it."""
    separator = _separator(text, separator, say)
    rows = _cells(_Lines(text), separator, text)
    line, header = next(rows, (1, []))
    columns = _columns(text.name, line, header, say)
    width, is_empty = len(columns), True
    for line, cells in rows:
        is_empty = False
        if isinstance(cells, RowError):
            yield line, cells
        elif len(cells) != width:
            yield (
                line,
                RowError(
                    f"expected {width} cells, as the first row has, found {len(cells)}",
                    f"put a text that holds {SEPARATORS[separator]} in quotes",
                    "bad_table",
                ),
            )
        else:
            row = dict(zip(columns, cells, strict=True))
            # what stands in a column without a name
            row.pop("", None)
            yield line, row
    if is_empty:
        raise DataError(
            f"`{text.name}` holds one row, which names the columns, and none under it.",
            f"its columns: {listed(columns)}",
        )


class _Lines(Iterator[str]):
    """The lines of a text, each with its end; `held` are those given since it was last cleared."""

    def __init__(self, text: TextBlocks) -> None:
        self.held: list[str] = []
        # whether any line so far may hold what no text holds
        self.suspect = False
        self._again: deque[str] = deque()
        self._source = (line for block in text.whole_lines() for line in self._split(block))

    def _split(self, block: bytes) -> Iterator[str]:
        try:
            content = block.decode()
        except UnicodeDecodeError:
            # bytes that are not UTF-8 stay, as escapes, for `_fault` to find
            content = block.decode("utf-8", "surrogateescape")
            self.suspect = True
        self.suspect = self.suspect or "\0" in content or "\ufeff" in content
        return StringIO(content, newline="\n")

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._source)
        self.held.append(line)
        return line

    def give_again(self) -> None:
        """All that is held but its first line."""
        self._again.extendleft(reversed(self.held[1:]))
        del self.held[1:]


def _cells(
    lines: _Lines, separator: str, text: TextBlocks
) -> Iterator[tuple[int, list[str] | RowError]]:
    """The line on which a row begins, and its cells or what is wrong with it."""
    # Python's limit on a cell is 128 KB unless it is told another, for the whole process
    csv.field_size_limit(LONGEST)
    line = 1
    reader = csv.reader(lines, delimiter=separator, strict=True)
    while True:
        lines.held.clear()
        try:
            cells: list[str] | RowError | None = next(reader, None)
        except csv.Error as error:
            # a quote that is not closed takes in the next rows: they are read again without it
            lines.give_again()
            reader = csv.reader(lines, delimiter=separator, strict=True)
            cells = _broken(error)
        if cells is None:
            return
        if cells:
            yield line, _fault(lines, text) or cells
        line += len(lines.held)


def _broken(error: csv.Error) -> RowError:
    message = str(error)
    if "new-line character" in message:
        return RowError(
            "a line ends as on old Macs (`\\r`)",
            "save it with the line ends of Unix or Windows",
            "bad_table",
        )
    if "expected after" in message:
        message = "a quote is not closed, or stands inside of a quoted cell"
    else:
        message = "a quote is not closed"
    remedy = 'write a quote inside of a quoted cell twice: "say ""yes"""'
    return RowError(message, remedy, "bad_table")


def _fault(lines: _Lines, text: TextBlocks) -> RowError | None:
    """What is wrong with the characters of the lines held."""
    for found in map(_SUSPECT.search, lines.held if lines.suspect else ()):
        if found is None:
            continue
        if found[0] == "\0":
            return RowError("it holds a zero byte, which is no text", "remove it", "encoding")
        if found[0] == "\ufeff":
            return RowError(
                "a byte order mark stands in the middle of the file",
                "files were joined: remove the mark, and a second header behind it",
                "encoding",
            )
        return text.damaged()
    return None


def _separator(text: TextBlocks, separator: str, say: Say) -> str:
    """The one that the file's name promises, unless its first row has another one only."""
    first = text.head.lstrip().split(b"\n")[0].decode("utf-8", "replace")
    if separator in first:
        return separator
    for other, words in SEPARATORS.items():
        if other in first:
            say(f"`{text.name}` separates its cells by {words}: read so")
            return other
    return separator


def _columns(name: str, line: int, header: list[str] | RowError, say: Say) -> list[str]:
    """The names in the first row; a column without one is not read, and that is said."""
    if isinstance(header, RowError):
        raise DataError(f"`{name}:{line}`: {header.sentence}.", header.remedy)
    columns = [cell.strip() for cell in header]
    named = [column for column in columns if column]
    for column in named:
        if named.count(column) > 1:
            raise DataError(
                f"`{name}:{line}`: two columns are named `{column}`.", "rename one of them"
            )
    if not named:
        raise DataError(f"`{name}:{line}`: no column has a name.", "the first row names them")
    if len(named) < len(columns):
        numbers = [str(number) for number, column in enumerate(columns, 1) if not column]
        say(f"`{name}`: without a name, and so not read: column {listed(numbers)}")
    return columns
