"""What ends an answer before its end: nobody reads it any more, or it has said enough."""

from collections.abc import Callable
from threading import Event
from typing import Any

import torch
from transformers import StoppingCriteria

TOKENS = 8  # after each so many an answer is looked at


class WhenAsked(StoppingCriteria):
    """Stops when the reader has gone."""

    def __init__(self, stop: Event) -> None:
        self._stop = stop

    def __call__(self, input_ids: torch.LongTensor, scores: Any, **_: Any) -> torch.BoolTensor:
        """All rows of the batch, or none."""
        asked = self._stop.is_set()
        return torch.full((len(input_ids),), asked, device=input_ids.device)  # type: ignore[return-value]


class WhenSaid(StoppingCriteria):
    """Ends the rows of a batch that have said enough, each by itself."""

    def __init__(self, said: Callable[[list[int]], bool], length: int) -> None:
        self._said, self._length = said, length

    def __call__(self, input_ids: torch.LongTensor, scores: Any, **_: Any) -> torch.BoolTensor:
        """Which rows of the batch have ended."""
        rows = input_ids[:, self._length :]
        looks = rows.shape[1] % TOKENS == 0
        ended = [looks and self._said(row) for row in rows.tolist()]
        return torch.tensor(ended, device=input_ids.device)  # type: ignore[return-value]
