"""Tokens as they are drawn → pieces of text as they are read."""

from collections.abc import Callable, Iterator
from queue import SimpleQueue

import torch
from transformers.generation.streamers import BaseStreamer

# what a decoder shows for a character whose bytes are not all there yet
INCOMPLETE = "\ufffd"


class Text:
    """Tokens → pieces of their text.

    Text is held back while its last character is incomplete: with byte fallback
    a character may be made of several tokens.
    """

    def __init__(self, decode: Callable[[list[int]], str]) -> None:
        self._decode = decode
        self._ids: list[int] = []
        self._shown = ""

    def add(self, ids: list[int]) -> str:
        """What more tokens let us show."""
        self._ids += ids
        text = self._decode(self._ids)
        return "" if text.endswith(INCOMPLETE) else self._new(text)

    def end(self) -> str:
        """What was held back."""
        return self._new(self._decode(self._ids))

    def _new(self, text: str) -> str:
        new = text[len(self._shown) :]
        if new:
            self._shown = text
        return new


class Pieces(BaseStreamer):  # type: ignore[no-untyped-call]
    """Tokens put in by `generate` in one thread, pieces of text taken out in another."""

    def __init__(self, decode: Callable[[list[int]], str]) -> None:
        self._text = Text(decode)
        self._queue: SimpleQueue[str | BaseException | None] = SimpleQueue()
        self._has_begun = self._has_ended = False

    def put(self, value: torch.Tensor) -> None:
        """Take the prompt first, then each token."""
        if self._has_begun:
            self._show(self._text.add(value.flatten().tolist()))
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


def without_leading_space(pieces: Iterator[str] | Pieces) -> Iterator[str]:
    """An answer without the line end that opens it in some formats."""
    started = False
    for piece in pieces:
        text = piece if started else piece.lstrip()
        if text:
            started = True
            yield text
