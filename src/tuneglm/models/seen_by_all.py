"""Attention of a row whose first keys all queries see, the others causally: without a mask.

    all      queries [0, n)  see keys [0, s)  all of them: a prefix, a context
    causal   queries [c, n)  see keys [s, k)  up to themselves, for n - c = k - s

A processor's kernel knows "all" and "causal", so each part is a call of it, and no product is
made that nobody sees. A query that has both parts weighs them by the sums that the softmax of
each divided by, which the kernel gives beside its output. With the sum of both and the output of
both, the kernel's own way back is right for either part (Liu et al. 2023, Ring Attention).

torch keeps the kernel's operators as they are for models that were exported to C.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from tuneglm.models.varlen import computed_type

KERNEL_TYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


def takes_both(
    query: Tensor,
    dropout: float = 0.0,
    softcap: float | None = None,
    position_bias: Tensor | None = None,
    **_: Any,
) -> bool:
    """Whether the kernel knows what is asked."""
    is_plain = not dropout and softcap is None and position_bias is None
    return is_plain and query.device.type == "cpu" and query.dtype in KERNEL_TYPES


def attend_both(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    seen_by_all: int,
    scaling: float | None = None,
    **_: Any,
) -> Tensor:
    """(batch, heads, queries or keys, head_dim) → (batch, queries, heads, head_dim).

    seen_by_all  of the keys the first, neither none nor all of them
    """
    states = (each.to(computed_type(each)) for each in (query, key, value))
    output: Tensor = _Both.apply(*map(_in_line, states), seen_by_all, scaling)
    return output.transpose(1, 2)


class _Both(torch.autograd.Function):
    """Heads of queries may share keys: (batch, heads / groups, keys, head_dim)."""

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, seen: int, scale: float | None
    ) -> Tensor:
        groups = query.shape[1] // key.shape[1]
        context = query.shape[2] - (key.shape[2] - seen)
        keys, values = _for_each_head(key, groups), _for_each_head(value, groups)
        output, sums = _kernel(query, keys[:, :, :seen], values[:, :, :seen], False, scale)
        own, own_sums = _kernel(
            query[:, :, context:], keys[:, :, seen:], values[:, :, seen:], True, scale
        )
        _merge(output[:, :, context:], sums[:, :, context:], own, own_sums)
        ctx.save_for_backward(query, key, value, output, sums)
        ctx.seen, ctx.context, ctx.groups, ctx.scale = seen, context, groups, scale
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, output, sums = ctx.saved_tensors
        seen, context = ctx.seen, ctx.context
        keys, values = _for_each_head(key, ctx.groups), _for_each_head(value, ctx.groups)
        of_queries = (_in_line(gradient), query, output, sums)
        for_query, *for_all = _kernel_backward(
            of_queries, keys[:, :, :seen], values[:, :, :seen], False, ctx.scale
        )
        for_own, *for_causal = _kernel_backward(
            tuple(each[:, :, context:] for each in of_queries),
            keys[:, :, seen:],
            values[:, :, seen:],
            True,
            ctx.scale,
        )
        for_query[:, :, context:] += for_own
        for_key, for_value = (
            _of_all_heads(torch.cat(parts, dim=2), ctx.groups)
            for parts in zip(for_all, for_causal, strict=True)
        )
        return for_query, for_key, for_value, None, None


def _merge(output: Tensor, sums: Tensor, own: Tensor, own_sums: Tensor) -> None:
    """Put the output over both parts in place of that over the first, and its logarithm of sums.

    output, own     (batch, heads, queries, head_dim)
    sums, own_sums  (batch, heads, queries): log Σ exp of a part's scores
    """
    share = torch.sigmoid(own_sums - sums)[..., None]
    if output.dtype == share.dtype:
        output.lerp_(own, share)
    else:
        output.copy_(output.to(share.dtype).lerp_(own.to(share.dtype), share))
    torch.logaddexp(sums, own_sums, out=sums)


def _kernel(
    query: Tensor, key: Tensor, value: Tensor, causal: bool, scale: float | None
) -> tuple[Tensor, Tensor]:
    attend: Any = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    output, sums = attend(query, key, value, 0.0, causal, scale=scale)
    return output, sums


def _kernel_backward(
    of_queries: tuple[Tensor, ...], key: Tensor, value: Tensor, causal: bool, scale: float | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of query, key and value; of_queries: gradient, query, output, sums."""
    gradient, query, output, sums = of_queries
    backward: Any = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward
    gradients: tuple[Tensor, Tensor, Tensor] = backward(
        gradient, query, key, value, output, sums, 0.0, causal, scale=scale
    )
    return gradients


def _for_each_head(each: Tensor, groups: int) -> Tensor:
    return each if groups == 1 else each.repeat_interleave(groups, dim=1)


def _of_all_heads(gradient: Tensor, groups: int) -> Tensor:
    return gradient if groups == 1 else gradient.unflatten(1, (-1, groups)).sum(2)


def _in_line(each: Tensor) -> Tensor:
    """The kernel reads a head's values one beside the other, whatever their strides."""
    return each if each.stride(-1) == 1 else each.contiguous()
