"""Tokens as they are drawn → pieces of text as they are read."""

from collections.abc import Callable, Iterator
from queue import SimpleQueue

import torch
from transformers.generation.streamers import BaseStreamer

from tuneglm.writing.text import AnswerText


class Pieces(BaseStreamer):  # type: ignore[no-untyped-call]
    """Tokens put in by `generate` in one thread, pieces of text taken out in another."""

    def __init__(self, decode: Callable[[list[int]], str]) -> None:
        self._text = AnswerText(decode)
        self._queue: SimpleQueue[str | BaseException | None] = SimpleQueue()
        self._has_begun = self._has_ended = False

    def put(self, value: torch.Tensor) -> None:
        """Take the prompt first, then each token."""
        if self._has_begun:
            for token in value.flatten().tolist():
                self._show(self._text.add(token))
        self._has_begun = True

    def end(self) -> None:
        """Show what was held back and close; a second call does nothing."""
        if not self._has_ended:
            self._has_ended = True
            self._show(self._text.end())
            self._queue.put(None)

    def fail(self, error: BaseException) -> None:
        """Hand an error to the reader."""
        self._queue.put(error)

    def __iter__(self) -> Iterator[str]:
        while (piece := self._queue.get()) is not None:
            if isinstance(piece, BaseException):
                raise piece
            yield piece

    def _show(self, text: str) -> None:
        if text:
            self._queue.put(text)
