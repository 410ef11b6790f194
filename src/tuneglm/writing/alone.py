"""One answer at a time, in a slot that grows with it."""

from collections.abc import Generator
from threading import Lock
from typing import Any

from tuneglm.models.family import Family
from tuneglm.models.named_adapters import NamedAdapters
from tuneglm.writing.batch import Batch
from tuneglm.writing.fitting import fits_slots, kept_shapes
from tuneglm.writing.graphs import COLUMNS, can_be_recorded
from tuneglm.writing.places import place
from tuneglm.writing.row import Row
from tuneglm.writing.slots import LayerShape, Slots

SMALLEST = 2 * COLUMNS  # tokens of a slot
GROWS = 1.25  # times as long as it has to be: each time all is recorded anew
TOO_LARGE = 4  # times as long as an answer's prompt: it is made anew


class Alone:
    """A batch of one row. What was recorded of its steps is there for the next answer too."""

    def __init__(
        self, model: Any, adapters: NamedAdapters, family: Family, shapes: list[LayerShape]
    ) -> None:
        self._model, self._adapters, self._family = model, adapters, family
        self._shapes = shapes
        self._lock = Lock()
        self._make(SMALLEST)

    def take(self) -> bool:
        """Have it for an answer, and `leave` it then; False while another has it."""
        return self._lock.acquire(blocking=False)

    def leave(self) -> None:
        """Let others have it."""
        self._lock.release()

    def tokens(self, row: Row) -> Generator[int, None, None]:
        """The answer of a row whose prompt is not read yet, token by token, up to its longest."""
        place(row, self._model.config, self._family)
        self._fit(len(row.prompt))
        # another one may have been chosen meanwhile
        self._batch.adapters_changed()
        self._batch.join(row)
        try:
            while not row.is_ready:
                self._batch.read()
            while len(row.ids) < row.longest:
                self._grow_to(row.filled + 1)
                self._batch.write()
                yield row.ids[-1]
        finally:
            self._batch.leave(row)

    def _fit(self, tokens: int) -> None:
        """Make room for a prompt; what a long conversation took is given back."""
        least = max(SMALLEST, _whole(tokens + COLUMNS))
        if self._slots.capacity > TOO_LARGE * least:
            self._make(least)
        self._grow_to(tokens)

    def _grow_to(self, tokens: int) -> None:
        """Let the slot hold so many, and some more where it has to grow."""
        if tokens > self._slots.capacity:
            self._batch.slots_changed()
            self._slots.grow(_whole(int(GROWS * tokens)))

    def _make(self, capacity: int) -> None:
        self._slots = Slots(self._shapes, 1, capacity, self._model.device)
        self._batch = Batch(self._model, self._adapters, self._slots)


def alone_for(
    model: Any, adapters: NamedAdapters, family: Family, prompt: list[int]
) -> Alone | None:
    """For a model whose steps a GPU can be given at once; None for all others."""
    if not can_be_recorded(model):
        return None
    shapes = kept_shapes(model, prompt)
    if not fits_slots(model, adapters, family, shapes, prompt):
        return None
    return Alone(model, adapters, family, shapes)


def _whole(tokens: int) -> int:
    return -(-tokens // COLUMNS) * COLUMNS
