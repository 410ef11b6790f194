"""Keys and values of all rows of a batch, of which each has a length of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional
from transformers import Cache, DynamicCache


@dataclass(frozen=True)
class LayerShape:
    """What a layer keeps of a token: keys and values of (heads, dim) each, in one type."""

    keys: tuple[int, int]
    values: tuple[int, int]
    dtype: torch.dtype

    @property
    def size(self) -> int:
        """Bytes of one token."""
        numbers = self.keys[0] * self.keys[1] + self.values[0] * self.values[1]
        return numbers * self.dtype.itemsize


def layer_shapes(cache: DynamicCache) -> list[LayerShape]:
    """Of each layer, as a cache that was filled in the ordinary way has it."""
    layers: list[Any] = cache.layers
    return [
        LayerShape(
            (layer.keys.shape[1], layer.keys.shape[3]),
            (layer.values.shape[1], layer.values.shape[3]),
            layer.keys.dtype,
        )
        for layer in layers
    ]


def slots_held(slots: int) -> int:
    """So many, and one in which rows are moved: a row alone never is."""
    return slots + (slots > 1)


class Slots(Cache):  # type: ignore[no-untyped-call]
    """Of each layer (slots, heads, capacity, dim), and one slot more in which rows are moved.

    A pass of the network is over neighbouring slots: `open` says which, and where their new
    tokens go. Nothing is ever as long as it could be: each pass sees the columns in use.
    """

    def __init__(
        self, shapes: Sequence[LayerShape], slots: int, capacity: int, device: torch.device
    ) -> None:
        super().__init__(layers=[])
        self.slots, self.capacity = slots, capacity
        # whatever is masked is still multiplied, by nought: it must be a number
        self._tensors: list[tuple[torch.Tensor, ...]] = [
            tuple(
                torch.zeros(
                    slots_held(slots), heads, capacity, dim, dtype=shape.dtype, device=device
                )
                for heads, dim in (shape.keys, shape.values)
            )
            for shape in shapes
        ]
        self._first = self._end = self._start = self._seen = 0
        self._where: tuple[torch.Tensor, torch.Tensor] | None = None

    def grow(self, capacity: int) -> None:
        """Make them larger, layer by layer: what they hold stays, and little is held twice."""
        for layer, tensors in enumerate(self._tensors):
            self._tensors[layer] = tuple(
                functional.pad(tensor, (0, 0, 0, capacity - self.capacity)) for tensor in tensors
            )
        self.capacity = capacity

    def open(
        self, first: int, end: int, start: int, seen: int, places: torch.Tensor | None = None
    ) -> None:
        """The next pass is over slots `first` to `end`, and sees `seen` columns.

        start   where all rows' new tokens begin
        places  (rows,): where each row's one new token goes, in place of that
        """
        self._first, self._end, self._start, self._seen = first, end, start, seen
        self._where = None
        if places is not None:
            self._where = (torch.arange(end - first, device=places.device), places)

    def update(
        self,
        key_states: torch.Tensor,
        value_states: torch.Tensor,
        layer_idx: int,
        *_: Any,
        **__: Any,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Take a layer's new keys and values (rows, heads, new, dim); all that the pass sees."""
        found = []
        for tensor, states in zip(
            self._tensors[layer_idx], (key_states, value_states), strict=True
        ):
            rows = tensor[self._first : self._end]
            if self._where is not None:
                rows[self._where[0], :, self._where[1]] = states[:, :, 0]
            else:
                rows[:, :, self._start : self._start + states.shape[2]] = states
            found.append(rows[:, :, : self._seen])
        return found[0], found[1]

    def move(self, source: int, target: int, length: int) -> None:
        """Copy a row's first `length` tokens from one slot to another."""
        for tensors in self._tensors:
            for tensor in tensors:
                tensor[target, :, :length] = tensor[source, :, :length]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """How many columns are there before those that the pass adds."""
        return self._start

    def get_mask_sizes(self, query_length: int, layer_idx: int) -> tuple[int, int]:
        """(columns that a pass sees, 0): masks are made beforehand, and this is their width."""
        return self._seen, 0
