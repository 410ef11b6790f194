"""JSON lines and a JSON list → (line, row), with little of the file in memory at once.

A row is what JSON gave, or the RowError that says why there is none. JSON is read
as its standard (RFC 8259) has it: NaN is no number; and a key stands once in an object,
for of two values Python would keep the second without a word.
"""

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any, NoReturn

from tuneglm.data.columns import RowError
from tuneglm.data.text_blocks import DAMAGE, LONGEST, TextBlocks
from tuneglm.errors import DataError, Place

NumberedRow = tuple[int, object]

_SPACES = " \t\r\n"
_SPACE = re.compile(f"[{_SPACES}]*")
_FIX = "correct the file there"
# the longest of what the end of a window may cut, texts aside: `\ud83d\ude00`
_TOKEN = 16


class _FaultError(ValueError):
    """What is wrong in a row whose end can be found all the same."""

    def __init__(self, sentence: str, remedy: str, problem: str) -> None:
        self.row_error = RowError(sentence, remedy, problem)
        super().__init__(sentence)


def _no_number(literal: str) -> NoReturn:
    raise _FaultError(
        f"`{literal}` is no JSON number", "write a number, null or a text", "not_a_number"
    )


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        shown = twice.encode("utf-8", "backslashreplace").decode()
        raise _FaultError(
            f"the key `{shown}` stands twice in one object", "keep one of the two", "double_key"
        )
    return row


_STRICT = json.JSONDecoder(parse_constant=_no_number, object_pairs_hook=_object)
# finds where a row with such a fault ends
_TOLERANT = json.JSONDecoder(parse_int=len)


def _decode(text: str, position: int) -> tuple[object, int]:
    """One JSON value, or a RowError for it, and where it ends; else a JSONDecodeError."""
    try:
        return _STRICT.raw_decode(text, position)
    except RecursionError:
        raise json.JSONDecodeError("nested too deeply", text, position) from None
    except json.JSONDecodeError:
        raise
    except _FaultError as fault:
        row_error = fault.row_error
    except ValueError:  # Python's own limit on the digits of a number
        row_error = RowError(
            "a number has too many digits", 'write it as a text, "…"', "not_a_number"
        )
    try:
        return row_error, _TOLERANT.raw_decode(text, position)[1]
    except RecursionError:
        raise json.JSONDecodeError("nested too deeply", text, position) from None


def json_lines(text: TextBlocks) -> Iterator[NumberedRow]:
    """One value a line; blank lines are allowed."""
    first, offset = 1, 0
    for block in text.whole_lines():
        try:
            lines = block.decode().removesuffix("\n").split("\n")
        except UnicodeDecodeError:
            yield from _damaged_lines(text, block, first, offset)
        else:
            yield from _sound_lines(lines, first)
        first += block.count(b"\n")
        offset += len(block)


def _sound_lines(lines: list[str], first: int) -> Iterator[NumberedRow]:
    for line, content in enumerate(lines, first):
        try:
            value, end = _STRICT.raw_decode(content)
        except (ValueError, RecursionError):
            end = -1
        # a row with nothing behind it, as nearly all are, or with the `\r` of Windows
        if end == len(content) or content[end:] == "\r":
            yield line, value
        elif content.strip(_SPACES):
            yield line, _one_line(content.strip(_SPACES))


def _damaged_lines(
    text: TextBlocks, block: bytes, first: int, offset: int
) -> Iterator[NumberedRow]:
    """The lines of a block in which not all is UTF-8: only those that are not are lost."""
    for line, data in enumerate(block.removesuffix(b"\n").split(b"\n"), first):
        try:
            yield from _sound_lines([data.decode()], line)
        except UnicodeDecodeError as error:
            place = f"byte {offset + error.start + 1} of the file is"
            yield line, text.damaged(place) if text.encoding == "UTF-8" else text.damaged()
        offset += len(data) + 1


def _one_line(content: str) -> object:
    """The value of a line that is not one sound row, or the RowError that says why."""
    if content.startswith("\ufeff"):
        return RowError(
            "a byte order mark stands before the row, in the middle of the file",
            "files were joined: remove the mark",
            "encoding",
        )
    try:
        value, end = _decode(content, 0)
    except json.JSONDecodeError as error:
        if _is_cut_short(error):
            return RowError(
                "the row is not complete on this line",
                "write each object on one line, or all of them as a list [{…}, {…}]",
                "bad_json",
            )
        return RowError(f"not JSON: {_what(error, error.colno)}", _FIX, "bad_json")
    if end < len(content):
        found = content[end : end + 20].encode("utf-8", "backslashreplace").decode()
        sentence = f"expected the end of the line after the object, found `{found}`"
        return RowError(sentence, _FIX, "bad_json")
    return value


def json_list(text: TextBlocks) -> Iterator[NumberedRow]:
    """A list, row by row; one that is broken as JSON is a DataError, as its end is unknown."""
    window = _Window(text)
    if window.next_character() != "[":
        window.fail("expected a list [{…}, {…}]")
    window.position += 1
    if window.next_character() != "]":
        while True:
            yield window.row()
            character = window.next_character()
            if character == "]":
                break
            if character != ",":
                window.fail("expected `,` or `]` after a row")
            window.position += 1
            window.next_character()
    window.position += 1
    if window.next_character():
        window.fail("expected nothing after the list")


class _Window:
    """A piece of a text that slides over it: what is before `position` is forgotten in time."""

    def __init__(self, text: TextBlocks) -> None:
        self.position = 0
        self._source = text
        self._text = ""
        self._ended = False
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        # whether there may be escapes of bytes that are not UTF-8
        self._damaged = False
        # the line of the character `counted`, and what stood before the window on its first line
        self._line, self._counted, self._before = 1, 0, 0

    def next_character(self) -> str:
        """What stands at the position, spaces left out; nothing at the end."""
        while True:
            match = _SPACE.match(self._text, self.position)
            assert match is not None
            self.position = match.end()
            if self.position < len(self._text) or not self._read_on():
                return self._text[self.position : self.position + 1]

    def row(self) -> NumberedRow:
        """The value at the position, and the line on which it begins."""
        while True:
            try:
                value, end = _decode(self._text, self.position)
            except json.JSONDecodeError as error:
                if not (self._may_be_cut(error) and self._read_on()):
                    self._fail(error)
                continue
            # a number goes on behind the window
            if end < len(self._text) or not self._read_on():
                break
        line = self._line_of(self.position)
        if self._damaged and (damage := DAMAGE.search(self._text, self.position, end)):
            place = self._line + self._text.count("\n", self.position, damage.start())
            value = self._source.damaged(f"line {place} of the file holds bytes that are")
        self.position = end
        return line, value

    def fail(self, message: str) -> NoReturn:
        """The DataError of what stands at the position."""
        self._fail(json.JSONDecodeError(message, self._text, self.position))

    def _fail(self, error: json.JSONDecodeError) -> NoReturn:
        line = self._line_of(error.pos)
        place = f"`{self._source.name}:{line}`"
        at: Place = (self._source.name, line, "bad_json")
        if _is_cut_short(error):
            raise DataError(
                f"{place}: the file ends in the middle of the list: it is cut short.",
                "fetch or copy it again; a whole list ends with `]`",
                at=at,
            )
        column = error.colno + (self._before if error.lineno == 1 else 0)
        raise DataError(f"{place}: not JSON: {_what(error, column)}.", _FIX, at=at)

    def _line_of(self, position: int) -> int:
        self._line += self._text.count("\n", self._counted, position)
        self._counted = position
        return self._line

    def _may_be_cut(self, error: json.JSONDecodeError) -> bool:
        """By the window's end, rather than broken."""
        return _is_unterminated(error) or error.pos >= len(self._text) - _TOKEN

    def _read_on(self) -> bool:
        """Make the window longer, by as much again as it holds; False at the end of the file."""
        if self._ended:
            return False
        self._line_of(self.position)
        rest = self._text[self.position :]
        if len(rest) > LONGEST:
            self.fail(f"a row of more than {LONGEST >> 20} MB")
        start = self._text.rfind("\n", 0, self.position) + 1
        self._before = self.position - start + (0 if start else self._before)
        pieces, wanted = [rest], max(len(rest), 1)
        while wanted > 0 and not self._ended:
            block = next(self._source, b"")
            self._ended = not block
            pieces.append(self._decoded(block))
            wanted -= len(pieces[-1])
        self._text, self.position, self._counted = "".join(pieces), 0, 0
        return True

    def _decoded(self, block: bytes) -> str:
        state = self._decoder.getstate()
        try:
            return self._decoder.decode(block, final=not block)
        except UnicodeDecodeError:
            self._decoder.setstate(state)
            self._decoder.errors = "surrogateescape"
            self._damaged = True
        return self._decoder.decode(block, final=not block)


def _is_unterminated(error: json.JSONDecodeError) -> bool:
    return error.msg.startswith("Unterminated string")


def _is_cut_short(error: json.JSONDecodeError) -> bool:
    return _is_unterminated(error) or not error.doc[error.pos :].strip()


def _what(error: json.JSONDecodeError, column: int) -> str:
    """The decoder's complaint, and what stands there."""
    message = error.msg[:1].lower() + error.msg[1:].removesuffix(" at").removesuffix(":")
    found = error.doc[error.pos : error.pos + 20].encode("utf-8", "backslashreplace").decode()
    return f"{message}, found {found!r} in column {column}".replace("'", "`")
