"""Where the fault of a JSON text lies: often before the place at which it cannot be read on.

A comma that is missing at the end of a line is noticed on the next one, a quote that is not
closed at the end of its line; what a person has to mend stands before that place.
"""

import json
import re
import unicodedata
from typing import NamedTuple

SPACES = " \t\r\n"
FIX = "correct the file there"
CLOSE = "close it there; a line break inside a text is written \\n"
ESCAPE = 'a quote inside a text is written \\"; or one is missing before it'
QUOTES = 'keys and texts stand in double quotes, "…"'
TAB = "a tab inside a text is written \\t"
SHOWN = 20
# categories of characters that nobody sees: controls, formats such as a byte order mark, halves
UNSEEN = ("Cc", "Cf", "Cs")
# what stands where it should not → what to do
REMEDIES = {"'": QUOTES, "\t": TAB}
# the end of a list where an object is open, and the other way round → what is missing
CLOSES = {"]": "}", "}": "]"}
_LINE_ENDS = re.compile(r"[ \t\r]*\n")


class Fault(NamedTuple):
    """What is wrong with a text.

    position   in the decoder's text
    ends_line  whether that is the last of its line, and the text is read on beyond it
    """

    what: str
    position: int
    ends_line: bool = False
    remedy: str = FIX

    def told(self, line: int, column: int, own_line: int) -> str:
        """It, and where: the line and column of its position; `own_line` is known already."""
        if self.ends_line:
            return f"{self.what} at the end of line {line}"
        return f"{self.what} in column {column}{'' if line == own_line else f' of line {line}'}"


def told_of(error: json.JSONDecodeError) -> tuple[str, str]:
    """What is wrong with a text that was read as a whole, with its place; and what to do."""
    fault = fault_of(error)
    line = error.doc.count("\n", 0, fault.position) + 1
    column = fault.position - error.doc.rfind("\n", 0, fault.position)
    return fault.told(line, column, own_line=0), fault.remedy


def fault_of(error: json.JSONDecodeError) -> Fault:
    """What the decoder's complaint means for who mends the text."""
    text, place = error.doc, error.pos
    last = _last_before(text, place)
    mark, found = text[last : last + 1], text[place : place + 1]
    is_open = is_unterminated(error) or (
        error.msg.startswith("Invalid control character") and found in "\r\n"
    )
    if is_open:
        begin = place if is_unterminated(error) else _begin_of_text(text, place)
        what = f"a quote is not closed on its line, found {_shown(text, begin)}"
        return Fault(what, begin, remedy=CLOSE)
    if error.msg.startswith("Illegal trailing comma"):
        return _behind(text, place, "nothing follows the `,`")
    if mark == "," and found and found in "}]":
        return _behind(text, last, "nothing follows the `,`")
    if (
        error.msg.startswith("Expecting ',' delimiter")
        and (missing := _missing(error, last)) is not None
    ):
        return missing
    if error.msg.startswith("expected `,`") and found == "{" and _ends_line(text, last):
        return _behind(text, last, "a `,` is missing")
    if mark == ":" and _ends_line(text, last):
        return _behind(text, last, "no value follows the `:`")
    if mark == "," and found == "{" and error.msg.startswith("Expecting property name"):
        return _behind(text, last, "a `}` is missing before the `,`")
    return Fault(_complaint(error), place, remedy=REMEDIES.get(found, FIX))


def is_unterminated(error: json.JSONDecodeError) -> bool:
    """Whether a text has no end."""
    return error.msg.startswith("Unterminated string")


def is_cut_short(error: json.JSONDecodeError) -> bool:
    """Whether more was expected where the text ends."""
    return is_unterminated(error) or not error.doc[error.pos :].strip()


def _missing(error: json.JSONDecodeError, last: int) -> Fault | None:
    """What is missing where a value has ended and something else than `,` or an end stands."""
    text, place = error.doc, error.pos
    found = text[place]
    if found == ":":
        # a key was read as a value: of the key before it, or of a list
        begin = _begin_of_text(text, last)
        colon = _last_before(text, begin)
        if text[colon : colon + 1] == ":":
            return _behind(text, colon, "no value follows the `:`")
        return Fault(f"a `]` is missing, found {_shown(text, begin)}", begin)
    if last >= 0 and _ends_line(text, last):
        return _behind(text, last, f"a `{CLOSES.get(found, ',')}` is missing")
    if found in CLOSES:
        return Fault(f"a `{CLOSES[found]}` is missing, found {_shown(text, place)}", place)
    if text[last] == '"' and found not in '"[{':
        return Fault(_complaint(error), place, remedy=ESCAPE)
    return None


def _behind(text: str, position: int, what: str) -> Fault:
    return Fault(what, position, _ends_line(text, position))


def _ends_line(text: str, position: int) -> bool:
    """Whether nothing stands behind it on its line, and a further line does."""
    return _LINE_ENDS.match(text, position + 1) is not None


def _last_before(text: str, position: int) -> int:
    """Where the last character before it stands that is no space; -1 where there is none."""
    position -= 1
    while position >= 0 and text[position] in SPACES:
        position -= 1
    return position


def _begin_of_text(text: str, position: int) -> int:
    """Where the quote stands that opens the text in which, or at whose end, a position is."""
    while True:
        position = text.rfind('"', 0, position)
        escapes = position
        while escapes > 0 and text[escapes - 1] == "\\":
            escapes -= 1
        if position < 0 or (position - escapes) % 2 == 0:
            return position


def _complaint(error: json.JSONDecodeError) -> str:
    """The decoder's own, and what stands there."""
    message = error.msg[:1].lower() + error.msg[1:].removesuffix(" at").removesuffix(":")
    plain = message.replace("'", "`")
    return f"{plain}, found {_shown(error.doc, error.pos)}"


def _shown(text: str, position: int) -> str:
    """What stands there, not beyond its line."""
    there = text[position : position + SHOWN]
    line = there.partition("\n")[0].rstrip(SPACES) or there
    # what can be searched for in the file stays as it is there
    written = [
        each.encode("unicode_escape").decode() if unicodedata.category(each) in UNSEEN else each
        for each in line
    ]
    return f"`{''.join(written)}`"
