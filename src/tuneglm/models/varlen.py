"""Packed rows by the one kernel of GPUs that takes sequences of unlike length.

Rows stay as they lie, and the kernel is told where each begins:

    causal rows            one call
    rows with a context    one for the contexts, which see all of themselves; one for
                           the other queries, which see their row up to themselves
    a prefix               stands before each row's keys

What the numbers say is brought to the GPU once a batch, not once a layer: to bring them
is to wait for it.
"""

import importlib.util
import inspect
from collections.abc import Callable
from functools import cache, lru_cache, partial
from itertools import accumulate
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tuneglm.models.segments import KeysValues, Segments

LARGEST_HEAD = 256  # that the kernel takes
BATCHES = 16  # of which the numbers are kept
ALL = (-1, -1)


class Keys(NamedTuple):
    """Keys and values, each (tokens, heads, head_dim), of rows of these lengths."""

    key: Tensor
    value: Tensor
    lengths: tuple[int, ...]


class Places(NamedTuple):
    """Of the tokens of a batch: those in contexts, the others, and each one's way back."""

    contexts: Tensor
    others: Tensor
    back: Tensor


def attend_varlen(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    segments: Segments,
    own: KeysValues | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **_: Any,
) -> Tensor:
    """(1, heads, length, head_dim) each → (1, length, heads, head_dim); nobody sees a neighbour.

    own  keys and values of (1, heads, prefix length, head_dim) that stand before each row's
    """
    query, key, value = (_laid_out(each) for each in (query, key, value))
    prefix = None if own is None else (_laid_out(own[0]), _laid_out(own[1]))
    rows = Keys(key, value, segments.lengths)
    # a query's place is counted from its last key, so that all see the prefix
    causal = (-1 if sliding_window is None else sliding_window - 1, 0)
    if not any(segments.contexts):
        return _by_kernel(query, rows.lengths, _behind(prefix, rows), scaling, causal)[None]
    places = _places(segments, query.device)
    contexts = tuple(context for context in segments.contexts if context)
    pairs = zip(segments.lengths, segments.contexts, strict=True)
    others = tuple(length - context for length, context in pairs)
    seen = Keys(
        key.index_select(0, places.contexts), value.index_select(0, places.contexts), contexts
    )
    outputs = (
        _by_kernel(
            query.index_select(0, places.contexts), contexts, _behind(prefix, seen), scaling, ALL
        ),
        _by_kernel(
            query.index_select(0, places.others), others, _behind(prefix, rows), scaling, causal
        ),
    )
    return torch.cat(outputs).index_select(0, places.back)[None]


def has_varlen(
    query: Tensor,
    has_prefix: bool,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **_: Any,
) -> bool:
    """Whether the kernel can take packed rows."""
    # it has no dropout and no cap, and its window would hide the prefix
    can = not dropout and softcap is None and not (has_prefix and sliding_window is not None)
    return can and _is_fit(query) and _kernel() is not None


def _is_fit(query: Tensor) -> bool:
    """Half precision on a GPU of 2020 or later, and heads that the kernel takes."""
    head = query.shape[-1]
    return (
        query.is_cuda
        and computed_type(query).itemsize == 2
        and head <= LARGEST_HEAD
        and head % 8 == 0
        and torch.cuda.get_device_capability(query.device) >= (8, 0)
    )


@cache
def _kernel() -> Callable[..., Any] | None:
    """torch's attention over sequences of unlike length, where this torch has it whole."""
    if importlib.util.find_spec("torch.nn.attention.varlen") is None:
        return None
    from torch.nn.attention.varlen import varlen_attn

    known = inspect.signature(varlen_attn).parameters
    if not {"window_size", "scale"} <= known.keys():
        return None
    # fewer heads of keys than of queries: some releases want to be told, others have no word for it
    return partial(varlen_attn, enable_gqa=True) if "enable_gqa" in known else varlen_attn


def _by_kernel(
    query: Tensor,
    lengths: tuple[int, ...],
    keys: Keys,
    scaling: float | None,
    window: tuple[int, int],
) -> Tensor:
    """(tokens, heads, head_dim) of rows of these lengths → the same.

    window  keys that a query sees on its left and on its right
    """
    kernel = _kernel()
    assert kernel is not None
    output: Tensor = kernel(
        query,
        keys.key,
        keys.value,
        boundaries(lengths, query.device),
        boundaries(keys.lengths, query.device),
        max(lengths),
        max(keys.lengths),
        scale=scaling,
        window_size=window,
    )
    return output


def _behind(prefix: tuple[Tensor, Tensor] | None, keys: Keys) -> Keys:
    """Keys and values with the prefix before each row's."""
    if prefix is None:
        return keys
    key, value = (
        torch.cat([part for row in each.split(keys.lengths) for part in (own, row)])
        for own, each in zip(prefix, (keys.key, keys.value), strict=True)
    )
    return Keys(key, value, tuple(len(prefix[0]) + length for length in keys.lengths))


def _laid_out(states: Tensor) -> Tensor:
    """(1, heads, length, head_dim) → (length, heads, head_dim), in the type that is computed in."""
    return states[0].transpose(0, 1).to(computed_type(states)).contiguous()


def computed_type(states: Tensor) -> torch.dtype:
    """What autocast would compute an attention in: the kernel stands outside its list."""
    device = states.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else states.dtype


@lru_cache(maxsize=BATCHES)
def boundaries(lengths: tuple[int, ...], device: torch.device) -> Tensor:
    """Where each part begins, and where the last one ends: (parts + 1,)."""
    # what inference mode made could not be used in training afterwards
    with torch.inference_mode(False):
        return torch.tensor([0, *accumulate(lengths)], dtype=torch.int32, device=device)


@lru_cache(maxsize=BATCHES)
def _places(segments: Segments, device: torch.device) -> Places:
    starts = accumulate((0, *segments.lengths))
    rows = list(zip(starts, segments.lengths, segments.contexts, strict=False))
    contexts = [place for start, _, end in rows for place in range(start, start + end)]
    others = [place for start, end, begin in rows for place in range(start + begin, start + end)]
    with torch.inference_mode(False):
        moved = torch.tensor(contexts + others)
        lists = (torch.tensor(contexts), torch.tensor(others), moved.argsort())
        return Places(*(each.to(device) for each in lists))
