"""What a step does over and over alike, seen once and counted as often.

    rows of a pack      those of one length are attended together: as many tensors' worth
    parts of the head   the second of them stands for all but the first and the last

Rows of many lengths are taken as one as long as the longest, and others of the mean: what
a step holds goes with tokens and rows, and what it multiplies nearly so. Attention's products,
which go with the square of a length, come out too few where lengths differ widely.

Both are handed to the attention and the head with what they are asked: nothing is put in place
of what a training in another thread calls.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import torch
from torch import Tensor

from tuneglm.models.pieces import attend_pieces
from tuneglm.models.segments import KeysValues, Segments
from tuneglm.plan.ledger import Ledger


def of_few_lengths(lengths: Sequence[int]) -> tuple[int, ...]:
    """As many rows and tokens, those of one length beside each other."""
    longest, others = max(lengths), len(lengths) - 1
    if not others:
        return (longest,)
    each, more = divmod(sum(lengths) - longest, others)
    return (longest, *[each + 1] * more, *[each] * (others - more))


def few_parts(ledger: Ledger, parts: Iterator[Any]) -> Iterator[Any]:
    """Of the parts of a head the first, the last, and one for all between, counted as often."""
    every = list(parts)
    yield from every[:1]
    if len(every) > 2:
        ledger.times = len(every) - 2
        yield every[1]
        ledger.times = 1
    yield from every[1:][-1:]


def attend_alike(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    segments: Segments,
    own: KeysValues | None,
    **kwargs: Any,
) -> Tensor:
    """As `attend_pieces`, with neighbours of one length as a batch."""
    pairs = zip(segments.lengths, segments.contexts, strict=True)
    groups = [(row, len(list(alike))) for row, alike in groupby(pairs)]
    tokens = [length * count for (length, _), count in groups]
    parts = zip(*(each.split(tokens, dim=2) for each in (query, key, value)), strict=True)
    attended = [
        attend_pieces(
            module,
            _batch(part[0], count),
            _batch(part[1], count),
            _batch(part[2], count),
            Segments((length,), (context,)),
            None if own is None else _of_each(own, count),
            **kwargs,
        ).flatten(0, 1)
        for ((length, context), count), part in zip(groups, parts, strict=True)
    ]
    return torch.cat(attended)[None]


def _batch(each: Tensor, count: int) -> Tensor:
    """(1, heads, rows × length, head_dim) → (rows, heads, length, head_dim)."""
    return each[0].unflatten(1, (count, -1)).transpose(0, 1)


def _of_each(own: KeysValues, count: int) -> KeysValues:
    key, value = (each.expand(count, -1, -1, -1) for each in own)
    return key, value
