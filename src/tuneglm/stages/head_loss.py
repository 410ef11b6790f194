"""Loss and gradient of a network's head, asked of the head itself: no logits are kept.

Of a vocabulary of 65,000 or 151,000 the logits of one row are larger than all that the
layers keep. So the head itself is asked for the loss, and makes logits a few at a time: of some
words (head_blocks.py) or of some positions (head_chunks.py). What is left for the way back is
one gradient a position, of the size of a state; the head's own gradient too, where it is trained.

    head_of           a network's head, if it can be asked so
    asked_for_loss    within it a model's `logits` are the summed loss
    asked_for_states  within it they are the head's input: of a base to be near to
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn

from tuneglm.data.encoded import UNTRAINED
from tuneglm.models.fast import computed_in, is_fast
from tuneglm.stages.head_blocks import by_blocks
from tuneglm.stages.head_chunks import Gradients, by_positions
from tuneglm.stages.question import Aim, Layer, Question, aim_of


def shares_memory(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are the same memory: nothing was done between them."""
    same = one.untyped_storage()._cdata == other.untyped_storage()._cdata
    return same and one.shape == other.shape


def head_of(network: Any) -> nn.Linear | None:
    """The head of a network, where it is one product of whole weights."""
    head = network.get_output_embeddings()
    is_plain = type(head) is nn.Linear and ("forward" not in vars(head) or is_fast(head))
    return head if is_plain else None


@contextmanager
def asked_for_loss(
    head: nn.Linear, question: Question, positions: Tensor | None = None
) -> Iterator[None]:
    """Within it the head answers a question: (rows, positions, hidden) → the sum.

    positions  of what it is given, those that are asked about; None: all
    """

    def forward(layer: nn.Linear, states: Tensor) -> Tensor:
        answered(layer, states if positions is None else states[:, positions], question)
        assert question.total is not None
        return question.total

    with _in_place(head, forward):
        yield


@contextmanager
def asked_for_states(head: nn.Linear, positions: Tensor | None = None) -> Iterator[list[Tensor]]:
    """Within it the head hands on what it is given, which comes into the list too."""
    given: list[Tensor] = []

    def forward(_: nn.Linear, states: Tensor) -> Tensor:
        given.append(states if positions is None else states[:, positions])
        return given[-1]

    with _in_place(head, forward):
        yield given


@contextmanager
def _in_place(head: nn.Linear, forward: Any) -> Iterator[None]:
    own = vars(head).pop("forward", None)
    head.forward = MethodType(forward, head)  # type: ignore[method-assign]
    try:
        yield
    finally:
        del head.forward
        if own is not None:
            head.forward = own  # type: ignore[method-assign]


def answered(head: nn.Linear, states: Tensor, question: Question) -> None:
    """Fill a question's `losses` and `total` from states of (rows, positions, hidden)."""
    targets, states = question.targets.flatten(), states.flatten(0, 1)
    chosen: Any = slice(None)
    if not question.whole:
        chosen = (targets != UNTRAINED).nonzero().squeeze(1)
    aim = aim_of(question, chosen)
    total, losses = _HeadLoss.apply(
        states[chosen], head.weight, head.bias, aim, torch.is_grad_enabled(), question.choose
    )
    every = losses.new_zeros(targets.shape)
    every[chosen] = losses
    question.total, question.losses = total, every.view_as(question.targets)


class _HeadLoss(torch.autograd.Function):
    """(states, weight, bias, aim) → the sum and each position's cross entropy."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,
        states: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        aim: Aim,
        has_way_back: bool,
        choose: Callable[[Iterator[Any]], Iterator[Any]] | None,
    ) -> tuple[Tensor, Tensor]:
        dtype = computed_in(states)
        asks = [has_way_back and asked for asked in ctx.needs_input_grad[:3]]
        aim = aim.with_base_in(dtype)
        with torch.autocast(states.device.type, enabled=False):
            layer = Layer(weight.to(dtype), None if bias is None else bias.to(dtype))
            if _is_for_blocks(layer, aim, asks):
                given = states.to(dtype)
                total, losses, of_states = by_blocks(layer, given, aim, asks[0], choose)
                ctx.save_for_backward(of_states, None, None)
            else:
                gradients = Gradients.of(states, Layer(weight, bias), asks)
                total, losses = by_positions(layer, states, aim, gradients, choose)
                ctx.save_for_backward(gradients.states, gradients.weight, gradients.bias)
        ctx.mark_non_differentiable(losses)
        return total, losses

    @staticmethod
    def backward(ctx: Any, of_total: Tensor, _: Any) -> Any:  # type: ignore[override]
        # nobody else has them
        gradients = [None if each is None else each.mul_(of_total) for each in ctx.saved_tensors]
        return *gradients, None, None, None


def _is_for_blocks(layer: Layer, aim: Aim, asks: list[bool]) -> bool:
    """Whether only states learn, on a processor, and not from what two halves differ in."""
    of_states, of_weight, of_bias = asks
    is_exact = layer.weight.dtype == torch.float32 or aim.base is None or not of_states
    return layer.weight.device.type == "cpu" and is_exact and not of_weight and not of_bias
