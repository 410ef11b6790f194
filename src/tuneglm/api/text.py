"""The text of an answer as its tokens come: what can be shown already, and where it is to stop."""

from collections.abc import Callable, Sequence

# what a decoder shows for a character whose bytes are not all there yet
INCOMPLETE = "\ufffd"
# tokens that are decoded again with each new one, and how many of them are kept for it
WINDOW, KEPT = 64, 16


class AnswerText:
    """Takes tokens, gives pieces of text.

    stops         the answer ends before the first of these
    leading_space whether white space at its beginning counts

    A piece is held back while its last character is incomplete, or while it may be the beginning
    of a stop. Only the last tokens are decoded anew: a long answer costs no more a token.
    """

    def __init__(
        self, decode: Callable[[list[int]], str], stops: Sequence[str], *, leading_space: bool
    ) -> None:
        self._decode, self._stops, self._leading = decode, tuple(stops), leading_space
        self._window: list[int] = []
        self._decoded = ""
        self._shown = 0
        self.text = ""
        self.is_stopped = False

    def add(self, token: int) -> str:
        """What can be shown now that was not before."""
        self._window.append(token)
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
        piece = self.text[self._shown : end]
        self._shown = max(self._shown, end)
        return piece
