"""Job: one answer that somebody waits for."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tuneglm.api.row import Row, TokenScore
from tuneglm.api.text import AnswerText

Reason = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class Piece:
    """What came in a step: text that can be shown, and what was asked of the new tokens.

    first  which token of the answer the first score is of
    """

    text: str
    scores: tuple[TokenScore, ...] = ()
    first: int = 0


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
        self.reads_along = streams or has_stops
        self.waiter: Any = None
        self.is_left = False
        self.asked_at = time.monotonic()
        self.began = self.asked_at
        self.first_at: float | None = None
        self.told = 0
        self.ends_with: int | None = None

    @property
    def answer(self) -> list[int]:
        """The answer's tokens, without the one that ended it."""
        ids = self.row.ids
        return ids[:-1] if self.ends_with is not None else ids

    @property
    def known_scores(self) -> Sequence[TokenScore]:
        """Of the answer's tokens, where they were asked for."""
        return self.row.scores[: len(self.answer)]

    def leave(self) -> None:
        """Nobody waits any more: its place is given to others before the next step."""
        self.is_left = True

    def new_scores(self) -> tuple[TokenScore, ...]:
        """Probabilities of tokens that were not told of yet."""
        found = tuple(self.known_scores[self.told :])
        self.told += len(found)
        return found
