"""A JSON list → (line, row), with little of the file in memory at once."""

import codecs
import json
import re
from collections.abc import Iterator
from typing import NoReturn

from tuneglm.data.columns import RowError
from tuneglm.data.json_faults import FIX, SPACES, fault_of, is_cut_short, is_unterminated
from tuneglm.data.json_rows import NumberedRow, decode_value
from tuneglm.data.text_blocks import DAMAGE, LONGEST, TextBlocks
from tuneglm.errors import DataError, Place

_SPACE = re.compile(f"[{SPACES}]*")
# the longest of what the end of a window may cut, texts aside: `\ud83d\ude00`
_TOKEN = 16


def json_list(text: TextBlocks) -> Iterator[NumberedRow]:
    """A list, row by row.

    Where a row is broken as JSON, its end is unknown. If each row begins a line, the next line
    that begins so is the next row; else the broken one is a DataError.
    """
    window = _Window(text)
    if window.next_character() != "[":
        window.fail("expected a list [{…}, {…}]")
    window.position += 1
    if window.next_character() != "]":
        window.learn_how_rows_begin()
        more = True
        while more:
            try:
                yield window.row()
                more = window.is_another()
            except _BrokenRowError as broken:
                yield broken.row
                more = window.skip_row()
                if not more:
                    return
    window.position += 1
    if window.next_character():
        window.fail("expected nothing after the list")


class _BrokenRowError(Exception):
    """A row that is not JSON, of which it is known where the next one begins."""

    def __init__(self, line: int, sentence: str, remedy: str) -> None:
        self.row: NumberedRow = line, RowError(sentence, remedy, "bad_json")
        super().__init__(sentence)


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
        # what stands before a row: a line's beginning, if the first one begins a line
        self._row_begins: str | None = None
        # whether a line ended in the spaces last left out, and whether the row begins one
        self._crossed_line = self._begins_line = False

    def learn_how_rows_begin(self) -> None:
        """From the first row, which stands at the position."""
        line = self._text.rfind("\n", 0, self.position)
        if line >= 0 and not self._text[line : self.position].strip():
            self._row_begins, self._begins_line = self._text[line : self.position], True

    def is_another(self) -> bool:
        """Whether a row follows that which was read; the position is then at its beginning."""
        character = self.next_character()
        if character == ",":
            line = self._line_of(self.position)
            self.position += 1
            if self.next_character() == "]":
                self._fail_behind_rows(line)
            self._begins_line = self._crossed_line
        elif character != "]":
            self.fail("expected `,` or `]` after a row")
        return character == ","

    def skip_row(self) -> bool:
        """Go to the beginning of the next row; False where there is none."""
        assert self._row_begins is not None
        while True:
            beginning = f"{self._row_begins}{{"
            found = self._text.find(beginning, self.position)
            if found >= 0:
                self.position = found + len(self._row_begins)
                self._begins_line = True
                return True
            self.position = max(self.position, len(self._text) - len(beginning))
            if not self._read_on():
                return False

    def next_character(self) -> str:
        """What stands at the position, spaces left out; nothing at the end."""
        self._crossed_line = False
        while True:
            match = _SPACE.match(self._text, self.position)
            assert match is not None
            self._crossed_line |= "\n" in match[0]
            self.position = match.end()
            if self.position < len(self._text) or not self._read_on():
                return self._text[self.position : self.position + 1]

    def row(self) -> NumberedRow:
        """The value at the position, and the line on which it begins."""
        while True:
            try:
                value, end = decode_value(self._text, self.position)
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
        if is_cut_short(error):
            raise DataError(
                f"`{self._source.name}:{line}`: the file ends in the middle of the list: it is "
                "cut short.",
                "fetch or copy it again; a whole list ends with `]`",
                at=(self._source.name, line, "bad_json"),
            )
        fault = fault_of(error)
        place = line - self._text.count("\n", fault.position, error.pos)
        start = self._text.rfind("\n", 0, fault.position) + 1
        column = fault.position - start + 1 + (0 if start else self._before)
        if self._row_begins is not None and self._begins_line:
            # the row's own line, and where in it the fault is
            own = line - self._text.count("\n", self.position, error.pos)
            sentence = f"not JSON: {fault.told(place, column, own)}"
            raise _BrokenRowError(own, sentence, fault.remedy)
        at: Place = (self._source.name, place, "bad_json")
        sentence = f"not JSON: {fault.told(place, column, place)}"
        raise DataError(f"`{self._source.name}:{place}`: {sentence}.", fault.remedy, at=at)

    def _fail_behind_rows(self, line: int) -> NoReturn:
        """The list ends at the position, behind a comma on that line."""
        sentence = "not JSON: nothing follows the `,` behind the last row"
        if self._row_begins is not None:
            raise _BrokenRowError(line, sentence, FIX)
        at: Place = (self._source.name, line, "bad_json")
        raise DataError(f"`{self._source.name}:{line}`: {sentence}.", FIX, at=at)

    def _line_of(self, position: int) -> int:
        self._line += self._text.count("\n", self._counted, position)
        self._counted = position
        return self._line

    def _may_be_cut(self, error: json.JSONDecodeError) -> bool:
        """By the window's end, rather than broken."""
        return is_unterminated(error) or error.pos >= len(self._text) - _TOKEN

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
