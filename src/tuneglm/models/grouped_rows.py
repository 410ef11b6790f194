"""Causal rows on a processor, the queries of a key head in one product.

Where several query heads share keys and values, the queries of a few tokens and all their
heads are one matrix: one product for them, by the library that multiplies fastest here
(products.py), where an attention kernel makes a small one for each head with torch's own.
Queries go in blocks, of which each sees the keys up to its end, so that of what causality
hides little is computed. For the way back, scores are computed anew.
"""

from collections.abc import Iterator
from functools import cache
from itertools import accumulate
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tuneglm.models.products import is_for_onednn, multiply
from tuneglm.models.segments import KeysValues, Segments

BLOCK = 128  # tokens whose queries are one matrix
# query heads for each key head, and tokens of a row on average, from which on it pays
FEWEST_SHARING, FEWEST_TOKENS = 4, 96


def can_group(
    query: Tensor,
    key: Tensor,
    segments: Segments,
    own: KeysValues | None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    **_: Any,
) -> bool:
    """Whether rows are plain causal ones, long enough, whose heads share enough."""
    is_plain = own is None and not any(segments.contexts) and not dropout and not sliding_window
    shares = query.shape[1] >= FEWEST_SHARING * key.shape[1]
    is_long = query.shape[2] >= FEWEST_TOKENS * len(segments.lengths)
    return is_plain and shares and is_long and is_for_onednn(query, key)


def attend_grouped(
    query: Tensor, key: Tensor, value: Tensor, segments: Segments, scaling: float | None = None
) -> Tensor:
    """(1, heads, length, head_dim) each, fewer heads of keys → (1, length, heads, head_dim)."""
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    output: Tensor = _Grouped.apply(query, key, value, segments.lengths, scaling)
    return output


class _Block(NamedTuple):
    """Queries of a key head in a block of a row, and the keys that they see."""

    head: int
    first: int  # of the row's keys
    begin: int
    end: int


def _blocks(heads: int, lengths: tuple[int, ...]) -> Iterator[_Block]:
    for head in range(heads):
        for end, length in zip(accumulate(lengths), lengths, strict=True):
            first = end - length
            for begin in range(first, end, BLOCK):
                yield _Block(head, first, begin, min(begin + BLOCK, end))


class _Grouped(torch.autograd.Function):
    """softmax(q · kᵀ) · v of each row."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        lengths: tuple[int, ...],
        scaling: float,
    ) -> Tensor:
        key, value = key[0].contiguous(), value[0].contiguous()
        queries = _by_key_head(query[0], len(key)).mul_(scaling)
        outputs = torch.empty_like(queries)
        for block in _blocks(len(key), lengths):
            likely = _likely(queries, key, block)
            values = value[block.head, block.first : block.end]
            _rows(outputs, block).copy_(multiply(likely, values.t()))
        ctx.save_for_backward(queries, key, value, outputs)
        ctx.lengths, ctx.scaling = lengths, scaling
        return _by_token(outputs)[None]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:  # type: ignore[override]
        queries, key, value, outputs = ctx.saved_tensors
        heads, length, sharing, size = queries.shape
        given = gradient[0].view(length, heads, sharing, size).transpose(0, 1).contiguous()
        mean = (given * outputs).sum(-1, keepdim=True)
        of_queries = torch.empty_like(queries)
        of_key, of_value = torch.zeros_like(key), torch.zeros_like(value)
        for block in _blocks(heads, ctx.lengths):
            seen = slice(block.first, block.end)
            keys, values = key[block.head, seen], value[block.head, seen]
            likely = _likely(queries, key, block)
            back = _rows(given, block)
            of_value[block.head, seen].add_(multiply(likely.t(), back.t()))
            of_scores = multiply(back, values).sub_(_rows(mean, block)).mul_(likely)
            _rows(of_queries, block).copy_(multiply(of_scores, keys.t()))
            of_key[block.head, seen].add_(multiply(of_scores.t(), _rows(queries, block).t()))
        of_query = of_queries.mul_(ctx.scaling).permute(0, 2, 1, 3).reshape(1, -1, length, size)
        return of_query, of_key[None], of_value[None], None, None


def _by_key_head(query: Tensor, heads: int) -> Tensor:
    """(query heads, length, head_dim) → (key heads, length, heads of each, head_dim), a copy."""
    apart = query.unflatten(0, (heads, -1)).transpose(1, 2)
    return apart.clone(memory_format=torch.contiguous_format)


def _by_token(outputs: Tensor) -> Tensor:
    """The way back: (length, query heads, head_dim)."""
    return outputs.transpose(0, 1).flatten(1, 2)


def _rows(states: Tensor, block: _Block) -> Tensor:
    """A block's part of (key heads, length, heads of each, width) as a matrix: a view."""
    return states[block.head, block.begin : block.end].flatten(0, 1)


def _likely(queries: Tensor, key: Tensor, block: _Block) -> Tensor:
    """(queries, keys) of a block: the softmax of its scores."""
    scores = multiply(_rows(queries, block), key[block.head, block.first : block.end])
    tokens, sharing = block.end - block.begin, queries.shape[2]
    own = scores.view(tokens, sharing, -1)[:, :, block.begin - block.first :]
    own.add_(_hidden(BLOCK)[:tokens, None, :tokens])
    return torch.softmax(scores, -1, out=scores)


@cache
def _hidden(size: int) -> Tensor:
    """(queries, keys): what is added to the scores of keys that come later."""
    return torch.full((size, size), float("-inf")).triu(1)
