"""The largest batch of a run: its shape decides the memory of a step.

Where there are rows it is theirs: sooner or later the longest row is in a batch, and
all others are padded to it. Where there are none, every row is as long as it may be,
and trained throughout.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from tuneglm.data.batches import Groups, is_packed, makes_groups, room
from tuneglm.data.encoded import UNTRAINED, Encoded, lengths_of
from tuneglm.data.stream import StreamedRows
from tuneglm.data_config import DataConfig
from tuneglm.stages.portions import parted

# batches drawn around the longest row, and groups looked at, for where they are trained
LOOKED_AT = 16


@dataclass(frozen=True)
class Batch:
    """The shape of a batch.

    trained  positions at which logits are computed, the same for all rows
    packed   lengths of the rows that lie one after another; empty where they do not
    padded   whether some rows are shorter than others, which takes a mask
    assumed  whether no row was looked at
    counts   what its size is counted in, by the option that says it
    """

    rows: int
    length: int
    trained: int
    packed: tuple[int, ...] = ()
    padded: bool = False
    assumed: bool = False
    counts: Literal["rows", "tokens"] = "rows"

    @property
    def tokens(self) -> int:
        """Tokens, padding included."""
        return self.rows * self.length

    def resized(self, size: int) -> "Batch":
        """Of the same kind, with so many rows, or tokens."""
        if not self.packed:
            return replace(self, rows=size, padded=size > 1 and (self.padded or self.rows == 1))
        times, rest = divmod(size, self.size)
        some = self.packed[:rest]
        if self.counts == "tokens":
            some = (rest,) if rest else ()
        return self._of((*self.packed * times, *some))

    @property
    def size(self) -> int:
        """What `resized` takes."""
        if self.packed:
            return self.length if self.counts == "tokens" else len(self.packed)
        return self.rows

    @property
    def count(self) -> int:
        """Rows."""
        return len(self.packed) or self.rows

    def portion(self, tokens: int) -> "Batch":
        """What runs at once where it is so many tokens: the fullest of the portions."""
        if not self.packed:
            return replace(self, rows=min(self.rows, max(1, tokens // self.length)))
        groups = [[self.packed[row] for row in group] for group in parted(self.packed, tokens)]
        return self._of(tuple(max(groups, key=sum)))

    def _of(self, lengths: tuple[int, ...]) -> "Batch":
        """Packed rows of other lengths, trained as these are."""
        length = sum(lengths)
        trained = max(1, round(self.trained * length / self.length))
        return replace(self, length=length, trained=trained, packed=lengths)


def assumed_batch(config: DataConfig, rows: int) -> Batch:
    """A batch of the longest rows that may be, `rows` of them or as many as the tokens allow."""
    length = config.longest_row
    if config.batching == "packed":
        tokens = room(config) * rows
        lengths = [length] * (tokens // length) + ([tokens % length] if tokens % length else [])
        packed = Batch(1, tokens, tokens - len(lengths), tuple(lengths), assumed=True)
        return replace(packed, counts="tokens")
    if is_packed(config) is None:
        return Batch(1, rows * length, rows * (length - 1), (length,) * rows, assumed=True)
    if makes_groups(config):
        rows = max(1, room(config) // length)
    return Batch(rows, length, length - 1, padded=rows > 1, assumed=True)


def largest_batch(config: DataConfig, given: Any, rows: int) -> Batch:
    """The largest batch that is put together from `given`: rows, groups of rows, or a stream."""
    if isinstance(given, StreamedRows) or not len(given):
        return assumed_batch(config, rows)
    if isinstance(given, Groups):
        return _of_groups(given, rows, config.batching == "packed")
    lengths, rows = lengths_of(given), min(rows, len(given))
    order = np.argsort(-lengths, kind="stable")
    if config.batching == "length_grouped":
        return _rectangle([given[int(row)] for row in order[:rows]])
    draw = np.random.default_rng(0)
    others = [draw.choice(len(given), rows - 1) for _ in range(LOOKED_AT)]
    shape = _rectangle if is_packed(config) is False else _pack
    drawn = [shape([given[int(row)] for row in (order[0], *some)]) for some in others]
    return max(drawn, key=lambda batch: (batch.trained, batch.padded))


def _of_groups(groups: Groups, count: int, packed: bool) -> Batch:
    """The group with the most tokens; of packs that are as full, so many with the most trained."""
    lengths = lengths_of(groups.rows)
    sizes = [
        int(lengths[group].sum()) if packed else len(group) * int(lengths[group].max())
        for group in groups.groups
    ]
    fullest = np.argsort(-np.array(sizes), kind="stable")[:LOOKED_AT]
    members = [[groups.rows[row] for row in groups.groups[int(index)]] for index in fullest]
    if not packed:
        return _rectangle(members[0])
    shapes = sorted(map(_pack, members), key=lambda shape: -shape.trained)[:count]
    return Batch(
        1,
        sum(shape.length for shape in shapes),
        sum(shape.trained for shape in shapes),
        tuple(length for shape in shapes for length in shape.packed),
        counts="tokens",
    )


def _rectangle(rows: Sequence[Encoded]) -> Batch:
    lengths = [row.length for row in rows]
    trained = np.zeros(max(lengths), bool)
    for row in rows:
        trained[: row.length] |= np.array(row.labels) != UNTRAINED
    # the first token is nobody's next
    return Batch(
        len(rows), max(lengths), int(trained[1:].sum()), padded=min(lengths) < max(lengths)
    )


def _pack(rows: Sequence[Encoded]) -> Batch:
    lengths = tuple(row.length for row in rows)
    trained = sum(row.trained_tokens - (row.labels[0] != UNTRAINED) for row in rows)
    return Batch(1, sum(lengths), trained, lengths)
