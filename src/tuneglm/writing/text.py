"""The text of an answer as its tokens come: what can be shown already, and where it is to stop."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

# what a decoder shows for a character whose bytes are not all there yet
INCOMPLETE = "\ufffd"
# tokens that are decoded again with each new one, and how many of them are kept for it
WINDOW, KEPT = 64, 16


@dataclass(frozen=True, slots=True)
class Stretch:
    """Tokens that together are whole characters of an answer; mostly it is one.

    count       tokens
    start, end  where its characters stand in the answer; both alike where it has none
    """

    count: int
    start: int
    end: int


class AnswerText:
    """Takes tokens, gives pieces of text.

    stops         the answer ends before the first of these
    leading_space whether white space at its beginning counts

    A piece is held back while its last character is incomplete, or while it may be the beginning
    of a stop. Only the last tokens are decoded anew: a long answer costs no more a token.

    text       as far as it is known, up to the first stop
    shown      how many of its characters were given out
    stretches  which tokens made which characters, also of what a stop cuts off
    """

    def __init__(
        self,
        decode: Callable[[list[int]], str],
        stops: Sequence[str] = (),
        *,
        leading_space: bool = False,
    ) -> None:
        self._decode, self._stops, self._leading = decode, tuple(stops), leading_space
        self._window: list[int] = []
        self._decoded = ""
        # characters in all, and tokens whose characters are not all there yet
        self._length, self._loose = 0, 0
        self.text = ""
        self.shown = 0
        self.stretches: list[Stretch] = []
        self.is_stopped = False

    def add(self, token: int) -> str:
        """What can be shown now that was not before."""
        self._window.append(token)
        self._loose += 1
        decoded = self._decode(self._window)
        if decoded.endswith(INCOMPLETE):
            return ""
        self._take(decoded)
        if len(self._window) >= WINDOW:
            self._window = self._window[-KEPT:]
            self._decoded = self._decode(self._window)
        return self._show(self._held())

    def end(self) -> str:
        """What was held back; the answer is over."""
        if not self.is_stopped:
            self._take(self._decode(self._window))
        return self._show(0)

    def _take(self, decoded: str) -> None:
        new = decoded[len(self._decoded) :]
        self._decoded = decoded
        if not self.text and not self._leading:
            new = new.lstrip()
        if self._loose:
            self.stretches.append(Stretch(self._loose, self._length, self._length + len(new)))
        self._length, self._loose = self._length + len(new), 0
        # a stop may have begun in what is there
        known = max(0, len(self.text) - max(map(len, self._stops), default=0))
        self.text += new
        places = [place for stop in self._stops if (place := self.text.find(stop, known)) >= 0]
        if places:
            self.text, self.is_stopped = self.text[: min(places)], True

    def _held(self) -> int:
        """How many characters at the end may be the beginning of a stop."""
        if self.is_stopped:
            return 0
        lengths = (
            length
            for stop in self._stops
            for length in range(min(len(stop) - 1, len(self.text)), 0, -1)
            if self.text.endswith(stop[:length])
        )
        return max(lengths, default=0)

    def _show(self, held: int) -> str:
        end = len(self.text) - held
        piece = self.text[self.shown : end]
        self.shown = max(self.shown, end)
        return piece
