"""Job: one answer that somebody waits for."""

import time
from dataclasses import dataclass
from typing import Any, Literal

from tuneglm.writing.row import Row, TokenScore
from tuneglm.writing.text import AnswerText, Stretch

Reason = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class TextToken:
    """A token of an answer's text.

    before  the token before it; None where the text begins with it
    text    what of it stands in the text; None where it is a part of a character
    start   how long the text is before it; for a part of a character, before that
    end     how long it is with it
    """

    score: TokenScore
    before: int | None
    text: str | None
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Piece:
    """What came in a step: text that can be shown, and its tokens where these were asked for."""

    text: str
    tokens: tuple[TextToken, ...] = ()


@dataclass(frozen=True, slots=True)
class Done:
    """The answer is over; `error` says why there is none."""

    reason: Reason = "stop"
    error: BaseException | None = None


class Job:
    """A row of the batch, its text where that is looked at step by step, and who waits for it.

    number   which of a request's choices it is
    streams  whether each piece is told of, or the end alone
    waiter   whatever the one who waits is found by
    """

    def __init__(
        self, row: Row, text: AnswerText, number: int, *, streams: bool, has_stops: bool
    ) -> None:
        self.row, self.text, self.number, self.streams = row, text, number, streams
        self.tells_tokens = row.sampling.logprobs is not None
        self.reads_along = streams or has_stops or self.tells_tokens
        self.waiter: Any = None
        self.is_left = False
        self.asked_at = time.monotonic()
        self.began = self.asked_at
        self.first_at: float | None = None
        # stretches of its text, and tokens in them, that were told of
        self._told, self._tokens = 0, 0
        self.ends_with: int | None = None

    @property
    def answer(self) -> list[int]:
        """The answer's tokens, without the one that ended it."""
        ids = self.row.ids
        return ids[:-1] if self.ends_with is not None else ids

    def leave(self) -> None:
        """Nobody waits any more: its place is given to others before the next step."""
        self.is_left = True

    def new_tokens(self) -> tuple[TextToken, ...]:
        """Those whose text is shown and that were not told of; none where they were not asked for.

        What is no text (white space at the beginning, the format's own tokens) has none, and
        of one that a stop cuts there is what stands before it.
        """
        found = list[TextToken]()
        while self.tells_tokens and self._told < len(self.text.stretches):
            stretch = self.text.stretches[self._told]
            if stretch.end > self.text.shown and not self.text.is_stopped:
                break
            if stretch.start < min(stretch.end, self.text.shown):
                found += self._tokens_of(stretch)
            self._told += 1
            self._tokens += stretch.count
        return tuple(found)

    def _tokens_of(self, stretch: Stretch) -> list[TextToken]:
        end = min(stretch.end, self.text.shown)
        text = self.text.text[stretch.start : end]
        places = range(self._tokens, self._tokens + stretch.count)
        if end < stretch.end:
            places = places[-1:]
        shown = text if len(places) == 1 else None
        return [self._token(place, stretch.start, shown, end) for place in places]

    def _token(self, place: int, start: int, text: str | None, end: int) -> TextToken:
        before = self.row.ids[place - 1] if start else None
        return TextToken(self.row.scores[place], before, text, start, end)
