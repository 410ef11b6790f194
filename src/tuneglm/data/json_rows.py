"""JSON lines → (line, row), with little of the file in memory at once; a list: `json_list.py`.

A row is what JSON gave, or the RowError that says why there is none. JSON is read
as its standard (RFC 8259) has it: NaN is no number; and a key stands once in an object,
for of two values Python would keep the second without a word.
"""

import json
from collections.abc import Iterator
from typing import Any, NoReturn

from tuneglm.data.columns import RowError
from tuneglm.data.json_faults import FIX, SPACES, fault_of, is_cut_short, is_unterminated
from tuneglm.data.text_blocks import TextBlocks

NumberedRow = tuple[int, object]


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


def decode_value(text: str, position: int) -> tuple[object, int]:
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
            is_sound = False
        else:
            # nothing behind the row, as with nearly all, or the `\r` of Windows
            is_sound = end == len(content) or content[end:] == "\r"
        if is_sound:
            yield line, value
        elif content.strip(SPACES):
            yield line, _one_line(content.strip(SPACES))


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
        value, end = decode_value(content, 0)
    except json.JSONDecodeError as error:
        if is_cut_short(error) and not is_unterminated(error):
            return RowError(
                "the row is not complete on this line",
                "write each object on one line, or all of them as a list [{…}, {…}]",
                "bad_json",
            )
        fault = fault_of(error)
        told = fault.told(1, fault.position + 1, own_line=1)
        return RowError(f"not JSON: {told}", fault.remedy, "bad_json")
    if end < len(content):
        found = content[end : end + 20].encode("utf-8", "backslashreplace").decode()
        sentence = f"expected the end of the line after the object, found `{found}`"
        return RowError(sentence, FIX, "bad_json")
    return value
