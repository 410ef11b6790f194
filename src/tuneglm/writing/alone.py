"""One answer at a time, in a slot that grows with it."""

from collections.abc import Generator
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


class Alone:
    """A batch of one row. What was recorded of its steps is there for the next answer too."""

    def __init__(
        self, model: Any, adapters: NamedAdapters, family: Family, shapes: list[LayerShape]
    ) -> None:
        self._model, self._adapters, self._family = model, adapters, family
        self._slots = Slots(shapes, 1, SMALLEST, model.device)
        self._batch = Batch(model, adapters, self._slots)

    def tokens(self, row: Row) -> Generator[int, None, None]:
        """The answer of a row whose prompt is not read yet, token by token, up to its longest."""
        place(row, self._model.config, self._family)
        self._grow_to(len(row.prompt))
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

    def _grow_to(self, tokens: int) -> None:
        """Let the slot hold so many, at least twice as many as before where it has to grow."""
        if tokens <= self._slots.capacity:
            return
        rows = self._batch.rows
        self._slots = self._slots.grown(
            max(2 * self._slots.capacity, -(-tokens // COLUMNS) * COLUMNS)
        )
        self._batch = Batch(self._model, self._adapters, self._slots)
        for row in rows:
            self._batch.join(row)


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
