"""Products of a mixture's experts, on tensors that hold nothing.

torch's product for groups knows there but bfloat16. Here is one of every type that
keeps and makes what that one does, put together of the stand-in that transformers has.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers.integrations import moe


class GroupedProduct(torch.autograd.Function):
    """(tokens, width) in groups that end at `ends`, each by its (width, out) of the weight."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, weight: Tensor, ends: Tensor) -> Tensor:
        """(tokens, out)."""
        ctx.save_for_backward(states if weight.requires_grad else None, weight, ends)
        product: Tensor = torch.ops.transformers.grouped_mm_fallback(states, weight, ends)
        return product

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor | None, None]:
        """Of a frozen weight no gradient is made."""
        states, weight, ends = ctx.saved_tensors
        if states is not None:
            both = torch.ops.transformers.grouped_mm_fallback_backward
            of_states, of_weight = both(states, weight, ends, *gradients)
            return of_states, of_weight, None
        backwards = torch.ops.transformers.grouped_mm_fallback
        return backwards(*gradients, weight.transpose(-2, -1), ends), None, None


@contextmanager
def experts_without_data() -> Iterator[None]:
    """In it experts multiply by it."""
    usual = moe._grouped_mm
    moe._grouped_mm = _product
    try:
        yield
    finally:
        moe._grouped_mm = usual


def _product(input: Tensor, weight: Tensor, offs: Tensor) -> Tensor:
    result: Tensor = GroupedProduct.apply(input.to(weight.dtype), weight, offs)
    return result
