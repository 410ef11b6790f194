"""Packed rows cut into pieces that an attention kernel takes as they are.

The queries of a piece see all of its keys, or all up to themselves:

    row of a causal model          queries  [0, n)  see keys [0, n) up to themselves
    row whose first c tokens       queries  [0, c)  see keys [0, c), all of them
    see each other (a context)     queries  [c, n)  see keys [0, n) up to themselves

On a GPU in half precision, one kernel takes all pieces of a kind, and causal rows
need not even be cut; elsewhere each
is a call of sdpa, exact and on a processor 4 to 20 times as fast as one call with a
mask of tokens × tokens. A prefix stands before the keys of each piece.
"""

import importlib.util
import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor
from transformers.integrations.sdpa_attention import sdpa_attention_forward

KeysValues = tuple[Tensor, Tensor]

LARGEST_HEAD = 256  # of the kernel that takes all pieces at once


@dataclass(frozen=True)
class Segments:
    """Rows that lie one after another.

    lengths   tokens of each row
    contexts  tokens at each row's start that see each other; 0 in a causal model
    """

    lengths: tuple[int, ...]
    contexts: tuple[int, ...]


@dataclass(frozen=True)
class Piece:
    """Queries that see all of their keys, or all but those after themselves.

    All are (1, heads, length, head_dim). The last query belongs to the last key;
    the first `prefix` keys stand before the row.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    causal: bool
    prefix: int


def attend_pieces(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    segments: Segments,
    own: KeysValues | None,
    **kwargs: Any,
) -> Tensor:
    """(1, heads, length, head_dim) each → (1, length, heads, head_dim); nobody sees a neighbour.

    own  keys and values of (1, heads, prefix length, head_dim) that stand before each row's
    """
    has_varlen = _has_varlen(query, own is not None, **kwargs)
    if has_varlen and own is None and not any(segments.contexts):
        return _uncut(query, key, value, segments.lengths, **kwargs)
    pieces = list(_pieces(query, key, value, segments, own))
    kernel = _together if has_varlen else _one_by_one
    return torch.cat(kernel(module, pieces, **kwargs), dim=1)


def _pieces(
    query: Tensor, key: Tensor, value: Tensor, segments: Segments, own: KeysValues | None
) -> Iterator[Piece]:
    rows = zip(*(each.split(segments.lengths, dim=2) for each in (query, key, value)), strict=True)
    for (queries, keys, values), context in zip(rows, segments.contexts, strict=True):
        if context:
            seen = (keys[:, :, :context], values[:, :, :context])
            yield _piece(queries[:, :, :context], *seen, False, own)
        yield _piece(queries[:, :, context:], keys, values, True, own)


def _piece(
    query: Tensor, key: Tensor, value: Tensor, causal: bool, own: KeysValues | None
) -> Piece:
    if own is None:
        return Piece(query, key, value, causal, 0)
    key, value = torch.cat((own[0], key), dim=2), torch.cat((own[1], value), dim=2)
    return Piece(query, key, value, causal, own[0].shape[2])


def _one_by_one(
    module: Any, pieces: Sequence[Piece], sliding_window: int | None = None, **kwargs: Any
) -> list[Tensor]:
    """sdpa for each piece: (1, length, heads, head_dim)."""
    return [
        sdpa_attention_forward(
            module,
            piece.query,
            piece.key,
            piece.value,
            _seen(piece, sliding_window),
            is_causal=piece.causal,
            **kwargs,
        )[0]
        for piece in pieces
    ]


def _seen(piece: Piece, window: int | None) -> Tensor | None:
    """(queries, keys): which are seen; None where sdpa's own "causal" or "all" says it."""
    queries, keys = piece.query.shape[2], piece.key.shape[2]
    if not piece.causal or (queries == keys and (window is None or keys <= window)):
        return None
    device = piece.query.device
    rows = torch.arange(keys - queries, keys, device=device)[:, None]
    columns = torch.arange(keys, device=device)
    seen = columns <= rows
    if window is not None:
        seen &= (columns > rows - window) | (columns < piece.prefix)
    return seen[None, None]


@cache
def _varlen() -> Callable[..., Any] | None:
    """torch's attention over sequences of unlike length, where this torch has it whole."""
    if importlib.util.find_spec("torch.nn.attention.varlen") is None:
        return None
    from torch.nn.attention.varlen import varlen_attn

    known = inspect.signature(varlen_attn).parameters
    if not {"window_size", "scale"} <= known.keys():
        return None
    # fewer heads of keys than of queries: some releases want to be told, others have no word for it
    return partial(varlen_attn, enable_gqa=True) if "enable_gqa" in known else varlen_attn


def _has_varlen(
    query: Tensor,
    has_prefix: bool,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    **_: Any,
) -> bool:
    """Whether one kernel can take all pieces."""
    # it has no dropout, and its window would hide the prefix
    can = not dropout and not (has_prefix and sliding_window is not None)
    return can and _is_fit(query) and _varlen() is not None


def _is_fit(query: Tensor) -> bool:
    """Half precision on a GPU of 2020 or later, and heads that the kernel takes."""
    head = query.shape[-1]
    return (
        query.is_cuda
        and _computed_type(query).itemsize == 2
        and head <= LARGEST_HEAD
        and head % 8 == 0
        and torch.cuda.get_device_capability(query.device) >= (8, 0)
    )


def _computed_type(states: Tensor) -> torch.dtype:
    """What autocast would compute an attention in: the kernel stands outside its list."""
    device = states.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else states.dtype


def _together(
    module: Any,
    pieces: Sequence[Piece],
    scaling: float | None = None,
    sliding_window: int | None = None,
    **_: Any,
) -> list[Tensor]:
    """One kernel for all pieces that see everything, one for all that are causal."""
    outputs: dict[int, Tensor] = {}
    for causal in (False, True):
        chosen = {i: piece for i, piece in enumerate(pieces) if piece.causal is causal}
        if not chosen:
            continue
        queries = tuple(piece.query.shape[2] for piece in chosen.values())
        output = _by_kernel(
            [piece.query for piece in chosen.values()],
            [piece.key for piece in chosen.values()],
            [piece.value for piece in chosen.values()],
            scaling,
            _window(causal, sliding_window),
        )
        outputs |= dict(zip(chosen, output[None].split(queries, dim=1), strict=True))
    return [outputs[i] for i in range(len(pieces))]


def _uncut(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    lengths: tuple[int, ...],
    scaling: float | None = None,
    sliding_window: int | None = None,
    **_: Any,
) -> Tensor:
    """The one kernel on rows that are causal throughout, as they lie: nothing is cut or joined."""
    window = _window(True, sliding_window)
    return _by_kernel([query], [key], [value], scaling, window, lengths)[None]


def _window(causal: bool, sliding_window: int | None) -> tuple[int, int]:
    """Keys that a query sees on its left and right; its place is counted from its last key.

    So all see the prefix.
    """
    left = -1 if sliding_window is None else sliding_window - 1
    return (left, 0) if causal else (-1, -1)


def _by_kernel(
    queries: Sequence[Tensor],
    keys: Sequence[Tensor],
    values: Sequence[Tensor],
    scaling: float | None,
    window: tuple[int, int],
    lengths: tuple[int, ...] | None = None,
) -> Tensor:
    """Pieces of (1, heads, length, head_dim) → (all lengths, heads, head_dim).

    lengths  of the rows, where the pieces are not cut into rows yet
    """
    varlen = _varlen()
    assert varlen is not None
    seeing = lengths or tuple(each.shape[2] for each in queries)
    seen = lengths or tuple(each.shape[2] for each in keys)
    output: Tensor = varlen(
        _laid_out(queries),
        _laid_out(keys),
        _laid_out(values),
        boundaries(seeing, queries[0].device),
        boundaries(seen, queries[0].device),
        max(seeing),
        max(seen),
        scale=scaling,
        window_size=window,
    )
    return output


def _laid_out(states: Sequence[Tensor]) -> Tensor:
    """Pieces of (1, heads, length, head_dim) → (all lengths, heads, head_dim)."""
    whole = states[0] if len(states) == 1 else torch.cat(list(states), dim=2)
    together = whole[0].transpose(0, 1)
    return together.to(_computed_type(together)).contiguous()


@lru_cache(maxsize=16)
def boundaries(lengths: tuple[int, ...], device: torch.device) -> Tensor:
    """Where each part begins, and where the last one ends: (parts + 1,).

    Kept for the layers that follow: to bring numbers to a GPU is to wait for it.
    """
    # what inference mode made could not be used in training afterwards
    with torch.inference_mode(False):
        return torch.tensor([0, *accumulate(lengths)], dtype=torch.int32, device=device)
