"""Attention where transformers' own knows too little: packed rows, a prefix, and both at once.

Packed rows lie one after another in one sequence, without padding. No mask of
tokens × tokens is made for them: the attention is told where the rows begin, and
works row by row (pieces.py, varlen.py). A prefix is put before the keys here.

    keep_rows_apart   lets a model take `row_lengths`
    ROWS, PREFIX      names of this attention, by which transformers finds it
    WHOLE             sdpa where it is known that no row is padded
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from tuneglm.errors import ModelError
from tuneglm.models.pieces import attend_pieces
from tuneglm.models.segments import KeysValues, Segments
from tuneglm.models.varlen import boundaries

ROWS = "rows_sdpa"
PREFIX = "prefix_sdpa"
WHOLE = "whole_sdpa"
FLEX = "flex_attention"


# (config, ids of (1, length), lengths) → positions for the network, and `Segments.contexts`
PlaceRows = Callable[[Any, Tensor, Sequence[int]], tuple[Tensor, tuple[int, ...]]]


def restarting(config: Any, input_ids: Tensor, lengths: Sequence[int]) -> tuple[Tensor, Any]:
    """Positions (1, length) that count from 0 in each row, all of it causal."""
    positions = torch.cat([torch.arange(length) for length in lengths])
    return positions[None].to(input_ids.device), (0,) * len(lengths)


def keep_rows_apart(model: PreTrainedModel, place_rows: PlaceRows = restarting) -> None:
    """Let a model take `row_lengths` (1, rows) with one sequence of packed rows (1, length).

    Positions are derived, and the attention is this module's, flex_attention, or
    flash attention by transformers. Raises ModelError for a model or an attention
    that has no way to do it.
    """
    network: Any = model.base_model
    chosen: str = model.config._attn_implementation
    if chosen == "sdpa":
        model.set_attn_implementation(ROWS)
        chosen = model.config._attn_implementation
    if chosen == FLEX and model.device.type == "cpu":
        raise _cannot("model.attention=flex_attention cannot train on a processor")
    if chosen == FLEX and getattr(model.config, "sliding_window", None) is not None:
        raise _cannot("this model's sliding window and model.attention=flex_attention")
    if chosen not in (ROWS, PREFIX, FLEX) and "flash" not in chosen:
        raise _cannot(f"the attention `{chosen}` of this model cannot keep rows apart")
    network.register_forward_pre_hook(partial(_give_segments, place_rows), with_kwargs=True)


def keeps_rows_apart(model: nn.Module) -> bool:
    """Whether `keep_rows_apart` was called of a model, whatever is around it now."""
    hooks = (hook for module in model.modules() for hook in module._forward_pre_hooks.values())
    return any(getattr(hook, "func", None) is _give_segments for hook in hooks)


def _cannot(reason: str) -> ModelError:
    return ModelError(
        f"Rows cannot be packed: {reason}.",
        "leave model.attention out, or take data.batching=length_grouped",
    )


def _give_segments(
    place_rows: PlaceRows, network: Any, args: Any, kwargs: dict[str, Any]
) -> tuple[Any, dict[str, Any]]:
    """Before the network's forward: `row_lengths` → what its attention needs to know."""
    row_lengths = kwargs.pop("row_lengths", None)
    if row_lengths is None:
        return args, kwargs
    input_ids: Tensor = kwargs["input_ids"]
    lengths = tuple(row_lengths.flatten().tolist())
    if input_ids.shape != (1, sum(lengths)):
        raise ValueError(
            f"`row_lengths` of {sum(lengths)} tokens do not fit `input_ids` of "
            f"{tuple(input_ids.shape)}."
        )
    positions, contexts = place_rows(network.config, input_ids, lengths)
    segments = Segments(lengths, contexts)
    chosen = network.config._attn_implementation
    if chosen in (ROWS, PREFIX):
        # a mask of four dimensions is handed on as it is; this one no attention can use
        told = {"segments": segments, "attention_mask": input_ids.new_empty((1, 1, 0, 0))}
    elif chosen == FLEX:
        told = {"attention_mask": block_mask(segments, input_ids.device)}
    else:
        ends = boundaries(lengths, input_ids.device)
        told = {"attention_mask": None, "cu_seq_lens_q": ends, "cu_seq_lens_k": ends}
        told |= {"max_length_q": max(lengths), "max_length_k": max(lengths)}
    return args, {**kwargs, **told, "position_ids": positions}


def attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    prefix: Tensor | None = None,
    prefix_seen: Tensor | None = None,
    segments: Segments | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """sdpa over a layer's prefix and the keys, row by row where `segments` tells the rows.

    query, key, value  (batch, heads, length, head_dim)
    prefix             (layers, 2, key-value heads, prefix length, head_dim), of all rows; or
                       (layers, 2, batch, key-value heads, prefix length, head_dim)
    prefix_seen        (batch, prefix length): of the second form, what each row sees of it
    result             (batch, length, heads, head_dim)
    """
    own = None if prefix is None else _own(prefix[module.layer_idx].to(key), len(key))
    if segments is not None:
        attend_rows = segments.attend or attend_pieces
        return attend_rows(module, query, key, value, segments, own, **kwargs), None
    if own is not None:
        key, value = torch.cat((own[0], key), dim=2), torch.cat((own[1], value), dim=2)
        attention_mask = _longer(attention_mask, own[0].shape[2], prefix_seen)
    result: tuple[Tensor, None] = sdpa_attention_forward(
        module, query, key, value, attention_mask, **kwargs
    )
    return result


def _own(prefix: Tensor, batch: int) -> KeysValues:
    """A layer's prefix as keys and values of (batch, key-value heads, prefix length, head_dim)."""
    is_each_rows = prefix.ndim == 5
    key, value = prefix if is_each_rows else prefix[:, None].expand(-1, batch, -1, -1, -1)
    return key, value


def _longer(mask: Tensor | None, prefix: int, seen: Tensor | None) -> Tensor | None:
    """A mask with columns for the prefix: all of it is seen, or by each row its own."""
    if seen is not None:
        return _longer_by_row(mask, seen)
    if mask is None:
        return None
    # true in a mask of booleans, nothing added in one of numbers
    return nn.functional.pad(mask, (prefix, 0), value=mask.dtype == torch.bool)


def _longer_by_row(mask: Tensor | None, seen: Tensor) -> Tensor:
    assert mask is not None, "the mask of an attention with a prefix is written out"
    columns = seen[:, None, None]
    if mask.dtype != torch.bool:
        hidden = torch.finfo(mask.dtype).min
        columns = torch.zeros_like(columns, dtype=mask.dtype).masked_fill(~columns, hidden)
    shape = (len(seen), *mask.shape[1:3], -1)
    return torch.cat((columns.expand(shape), mask.expand(shape)), dim=-1)


def block_mask(segments: Segments, device: torch.device) -> Any:
    """flex_attention's mask of the rows: blocks of 128 × 128 of which most are empty."""
    from torch.nn.attention.flex_attention import create_block_mask

    lengths = torch.tensor(segments.lengths, device=device)
    row = torch.repeat_interleave(torch.arange(len(lengths), device=device), lengths)
    starts = lengths.cumsum(0) - lengths
    contexts = starts + torch.tensor(segments.contexts, device=device)
    context_end = contexts[row]

    def seen(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return (row[query] == row[key]) & ((key <= query) | (key < context_end[query]))

    return create_block_mask(seen, None, None, len(row), len(row), device=str(device))


def _written_mask(*args: Any, **kwargs: Any) -> Tensor | None:
    """sdpa's mask, written out: "causal" alone would count the prefix among the tokens."""
    mask: Tensor | None = sdpa_mask(*args, **{**kwargs, "allow_is_causal_skip": False})
    return mask


def _no_mask(*_: Any, **__: Any) -> None:
    """Rows without padding need none: sdpa's own "causal" says it."""


AttentionInterface.register(WHOLE, sdpa_attention_forward)
AttentionMaskInterface.register(WHOLE, _no_mask)
AttentionInterface.register(ROWS, attend)
AttentionMaskInterface.register(ROWS, sdpa_mask)
AttentionInterface.register(PREFIX, attend)
AttentionMaskInterface.register(PREFIX, _written_mask)
