"""A model that goes round in circles: the same words again and again, to the last letter.

What repeats itself and is right must pass: lists count, tables have other cells, code
and rules of dashes repeat signs. So only exact copies are counted, one behind the other,
and more of them where signs, numbers or code repeat than where sentences do.
"""

import re
from dataclasses import dataclass

# of the text's end, in characters; of it after every so many
LOOKED_AT, EVERY = 2400, 12
# (width of one copy at least, copies, their width together); a Chinese character is two wide
LONG, SHORT, SIGNS = (20, 6, 160), (1, 16, 160), (1, 30, 1200)
_FENCE = re.compile(r"^\s*(```|~~~)", re.M)
_WORD = re.compile(r"[^\W\d_]")
_MARKUP = re.compile(r"[<>|{}\[\]=;]")


@dataclass(frozen=True)
class Circle:
    """The end of a text, of copies.

    unit    what is repeated
    copies  how often it stands there
    start   where the first copy begins
    """

    unit: str
    copies: int
    start: int


class Repetition:
    """Watches an answer grow."""

    def __init__(self) -> None:
        self.text = ""
        self._looked_at = 0

    def add(self, piece: str) -> Circle | None:
        """What the answer runs in, once that is beyond doubt."""
        self.text += piece
        if len(self.text) - self._looked_at < EVERY:
            return None
        self._looked_at = len(self.text)
        return circle_of(self.text)


def circle_of(text: str) -> Circle | None:
    """The copies of which the end of a text consists, if there are too many to be meant."""
    end = text[-LOOKED_AT:]
    matches = _prefix_matches(end[::-1])
    is_code = len(_FENCE.findall(text)) % 2 == 1
    for period in range(1, len(end) // 6 + 1):
        length = period + matches[period]
        copies = length // period
        if copies < LONG[1]:
            continue
        unit = end[len(end) - period :]
        if _is_too_much(unit, copies, is_code):
            start = len(text) - copies * period
            return Circle(text[start : start + period], copies, start)
    return None


def is_circle(text: str) -> bool:
    """Whether a text ends in one."""
    return circle_of(text) is not None


def without_circle(text: str, circle: Circle) -> str:
    """The text with the first copy alone."""
    return text[: circle.start + len(circle.unit)].rstrip()


def _is_too_much(unit: str, copies: int, is_code: bool) -> bool:
    width = sum(2 if ord(sign) > 0x2E7F else 1 for sign in unit)
    is_text = _WORD.search(unit) is not None and not is_code and not _MARKUP.search(unit)
    bounds = (LONG, SHORT) if is_text else (SIGNS,)
    return any(
        width >= least and copies >= wanted and width * copies >= together
        for least, wanted, together in bounds
    )


def _prefix_matches(text: str) -> list[int]:
    """How far the text behind each place equals its own beginning (the Z function)."""
    matches = [0] * (len(text) + 1)
    left = right = 0
    for place in range(1, len(text)):
        if place < right:
            matches[place] = min(right - place, matches[place - left])
        while (
            place + matches[place] < len(text)
            and text[matches[place]] == text[place + matches[place]]
        ):
            matches[place] += 1
        if place + matches[place] > right:
            left, right = place, place + matches[place]
    return matches
