"""Packed rows cut into pieces that an attention kernel takes as they are.

Of a row's keys, some are seen by all of its queries, and the others up to themselves:

    row of a causal model          queries  [0, n)  see keys [0, n) up to themselves
    row whose first c tokens       queries  [0, n)  see keys [0, c), all of them
    see each other (a context)     queries  [c, n)  see keys [c, n) up to themselves

A prefix stands before the keys of each row, and is seen by all. Each line is a call of a kernel,
exact and on a processor 4 to 20 times as fast as one call with a mask of tokens × tokens. Where a
row is short, or no kernel gives what joins the two (seen_by_all.py), the queries [c, n) are one
call with a mask, which each layer keeps for the way back. On a GPU in half precision, one kernel
takes the rows as they lie (varlen.py).
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from tuneglm.models.seen_by_all import attend_both, takes_both
from tuneglm.models.segments import KeysValues, Segments
from tuneglm.models.varlen import attend_varlen, has_varlen

# a processor's kernel takes 512 keys at a time: up to few more, one call with a mask is faster
FEWEST_KEYS = 640


@dataclass(frozen=True)
class Piece:
    """Queries that see all of their keys, or all but those after themselves; or both, joined.

    All are (1, heads, length, head_dim). The last query belongs to the last key;
    the first `prefix` keys stand before the row.

    joined  of the keys so many are seen by all queries, the others up to themselves
    """

    query: Tensor
    key: Tensor
    value: Tensor
    causal: bool
    prefix: int
    joined: int = 0


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
    if has_varlen(query, own is not None, **kwargs):
        return attend_varlen(query, key, value, segments, own, **kwargs)
    joinable = _joinable(query, **kwargs)
    # all are cut before the first is attended, which is measurably faster for rows of few tokens
    pieces = list(_pieces(query, key, value, segments, own, joinable))
    return torch.cat([_attend(module, piece, **kwargs) for piece in pieces], dim=1)


def _joinable(query: Tensor, sliding_window: int | None = None, **kwargs: Any) -> range:
    """Of how many keys a row is attended by `attend_both`."""
    longest = sys.maxsize if sliding_window is None else sliding_window + 1
    return range(FEWEST_KEYS, longest) if takes_both(query, **kwargs) else range(0)


def _pieces(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    segments: Segments,
    own: KeysValues | None,
    joinable: range,
) -> Iterator[Piece]:
    prefix = 0 if own is None else own[0].shape[2]
    rows = zip(*(each.split(segments.lengths, dim=2) for each in (query, key, value)), strict=True)
    for (queries, keys, values), context in zip(rows, segments.contexts, strict=True):
        if own is not None:
            keys, values = torch.cat((own[0], keys), dim=2), torch.cat((own[1], values), dim=2)
        seen, every = prefix + context, keys.shape[2]
        if 0 < seen < every and every in joinable:
            yield Piece(queries, keys, values, True, prefix, joined=seen)
            continue
        if context:
            contexts = (queries[:, :, :context], keys[:, :, :seen], values[:, :, :seen])
            yield Piece(*contexts, False, prefix)
        if seen < every:
            yield Piece(queries[:, :, context:], keys, values, True, prefix)


def _attend(module: Any, piece: Piece, sliding_window: int | None = None, **kwargs: Any) -> Tensor:
    """(1, length, heads, head_dim)."""
    states = (piece.query, piece.key, piece.value)
    if piece.joined:
        return attend_both(*states, piece.joined, **kwargs)
    mask = _seen(piece, sliding_window)
    output: Tensor
    output, _ = sdpa_attention_forward(module, *states, mask, is_causal=piece.causal, **kwargs)
    return output


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
