"""Loss and gradient of a network's head, a few positions at a time: no logits are kept.

Of a vocabulary of 65,000 or 151,000 the logits of one row are larger than all that the
layers keep. So the head itself is asked for the loss: for some positions it makes logits,
takes loss and gradient from them, and lets them go. What is left for the way back is one
gradient a position, of the size of a state; the head's own gradient too, where it is trained.

    head_of           a network's head, if it can be asked so
    asked_for_loss    within it a model's `logits` are the summed loss
    asked_for_states  within it they are the head's input: of a base to be near to

Source: the gradient of the cross entropy of softmax p at target t is p - e_t, that of
KL(q ‖ p) is p - q.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tuneglm.data.encoded import UNTRAINED
from tuneglm.models.fast import computed_in, is_fast
from tuneglm.models.products import EVEN, multiply, multiply_back

# of logits made at once: on a processor they should stay near it
CHUNK_BYTES = {"cpu": 32 * 2**20, "cuda": 128 * 2**20}
# and a multiple of it
FEWEST_POSITIONS = 16
FLOAT32 = 4


@dataclass
class Question:
    """What a head is asked, and what it answered.

    targets    (rows, positions): the next token of each, -100 where none is trained
    counted    (rows, positions): whether a target's cross entropy counts; None: all do
    held       (rows, positions): which are held to the base; None: all, where there is a base
    base       (held positions, hidden): the head's input there, of the base
    kl         what a nat of distance from the base counts
    smoothing  of labels
    whole      whether every target is trained
    choose     of the parts of the positions those that are computed, a plan's; None: all are
    losses     (rows, positions): cross entropies, 0 where nothing is trained; after the forward
    total      the sum that is to go down
    """

    targets: Tensor
    counted: Tensor | None = None
    held: Tensor | None = None
    base: Tensor | None = None
    kl: float = 0.0
    smoothing: float = 0.0
    whole: bool = False
    choose: Callable[[Iterator[Any]], Iterator[Any]] | None = None
    losses: Tensor | None = None
    total: Tensor | None = None


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
    aim = _aim(question, chosen)
    total, losses = _HeadLoss.apply(
        states[chosen], head.weight, head.bias, aim, torch.is_grad_enabled(), question.choose
    )
    every = losses.new_zeros(targets.shape)
    every[chosen] = losses
    question.total, question.losses = total, every.view_as(question.targets)


def _aim(question: Question, chosen: Any) -> "_Aim":
    targets = question.targets.flatten()[chosen]
    counted = torch.ones_like(targets, dtype=torch.float32)
    if question.counted is not None:
        counted = question.counted.flatten()[chosen].float()
    nearness = torch.full_like(counted, question.kl if question.base is not None else 0)
    if question.held is not None:
        nearness *= question.held.flatten()[chosen]
    base = None if question.base is None else question.base.detach()
    weighted = question.counted is not None or base is not None
    return _Aim(targets, counted, nearness, base, question.smoothing, weighted)


@dataclass(frozen=True)
class _Aim:
    """What positions are to say.

    targets, counted, nearness  (positions,): next token, weight of its loss, of the distance
    base                        (positions whose nearness is not 0, hidden)
    weighted                    whether some weights of cross entropy and distance are not 1 and 0
    """

    targets: Tensor
    counted: Tensor
    nearness: Tensor
    base: Tensor | None
    smoothing: float
    weighted: bool

    def parts(self, size: int) -> Iterator[tuple[slice, "_Aim"]]:
        """So many positions at a time, and what is left."""
        begun, count_of_all = 0, len(self.targets)
        for first in range(0, count_of_all, size):
            part = slice(first, min(first + size, count_of_all))
            targets, counted, nearness = (
                each[part] for each in (self.targets, self.counted, self.nearness)
            )
            base = None
            if self.base is not None:
                is_all = len(self.base) == len(self.targets)
                count = len(targets) if is_all else int((nearness != 0).sum())
                base, begun = self.base[begun : begun + count], begun + count
            yield part, _Aim(targets, counted, nearness, base, self.smoothing, self.weighted)


class _HeadLoss(torch.autograd.Function):
    """(states, weight, bias, aim) → the sum and each position's cross entropy."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,
        states: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        aim: _Aim,
        has_way_back: bool,
        choose: Callable[[Iterator[Any]], Iterator[Any]] | None,
    ) -> tuple[Tensor, Tensor]:
        dtype = computed_in(states)
        asks = [has_way_back and asked for asked in ctx.needs_input_grad[:3]]
        with torch.autocast(states.device.type, enabled=False):
            layer = _Layer(weight.to(dtype), None if bias is None else bias.to(dtype))
            gradients = _Gradients.of(states, _Layer(weight, bias), asks)
            losses = torch.empty(len(states), device=states.device)
            total = torch.zeros((), device=states.device)
            parts = aim.parts(_positions(layer.weight, asks[1]))
            for part, here in parts if choose is None else choose(parts):
                given, here = _evened(states[part].to(dtype), here)
                judged = _judged(layer, given, here, any(asks))
                losses[part] = judged.losses[: part.stop - part.start]
                total += judged.total
                if judged.gradient is not None:
                    gradients.put(part, judged.gradient, layer, given)
        ctx.save_for_backward(gradients.states, gradients.weight, gradients.bias)
        ctx.mark_non_differentiable(losses)
        return total, losses

    @staticmethod
    def backward(ctx: Any, of_total: Tensor, _: Any) -> Any:  # type: ignore[override]
        # nobody else has them
        gradients = [None if each is None else each.mul_(of_total) for each in ctx.saved_tensors]
        return *gradients, None, None, None


@dataclass(frozen=True)
class _Layer:
    """The head's weights, in their own type or that of its products."""

    weight: Tensor
    bias: Tensor | None


@dataclass
class _Gradients:
    """Those that are asked for; the others are None, and the weight's until there is some of it."""

    states: Tensor | None
    bias: Tensor | None
    asks_weight: bool
    dtype: torch.dtype
    weight: Tensor | None = None

    @classmethod
    def of(cls, states: Tensor, head: _Layer, asks: list[bool]) -> "_Gradients":
        """Room for them."""
        of_bias = torch.zeros_like(head.bias) if asks[2] and head.bias is not None else None
        of_states = torch.empty_like(states) if asks[0] else None
        return cls(of_states, of_bias, asks[1], head.weight.dtype)

    def put(self, part: slice, of_logits: Tensor, layer: _Layer, states: Tensor) -> None:
        """Those of some positions, from the gradient of theirs; more may stand behind them."""
        count = part.stop - part.start
        of_logits[count:] = 0
        if self.states is not None:
            self.states[part] = multiply_back(of_logits, layer.weight)[:count]
        if self.asks_weight:
            # halves of products are added up in the weight's own type
            more = multiply(of_logits.t(), states.t()).to(self.dtype)
            self.weight = more if self.weight is None else self.weight.add_(more)
        if self.bias is not None:
            self.bias.add_(of_logits.sum(0))


@dataclass(frozen=True)
class _Judged:
    """Cross entropies of some positions, what they add to the sum, its gradient for the logits."""

    losses: Tensor
    total: Tensor
    gradient: Tensor | None


def _positions(weight: Tensor, is_trained: bool) -> int:
    """How many positions' logits are made at once."""
    most = CHUNK_BYTES.get(weight.device.type, CHUNK_BYTES["cpu"])
    if is_trained and most > FLOAT32 * len(weight):
        # its gradient is made in passing: as large again, and not to be added up too often
        most = max(most, weight.numel() * FLOAT32)
    return max(1, most // (FLOAT32 * len(weight) * FEWEST_POSITIONS)) * FEWEST_POSITIONS


def _evened(states: Tensor, aim: _Aim) -> tuple[Tensor, _Aim]:
    """With positions behind them that count nothing, for a number of which there is a kernel."""
    added = -len(states) % EVEN.get(states.device.type, 1)
    if not added or aim.base is not None:
        return states, aim
    targets, counted, nearness = (
        functional.pad(each, (0, added)) for each in (aim.targets, aim.counted, aim.nearness)
    )
    return functional.pad(states, (0, 0, 0, added)), replace(
        aim, targets=targets, counted=counted, nearness=nearness
    )


def softmax_in_place(logits: Tensor) -> Tensor:
    """p in the memory of its logits, where a processor makes it row by row."""
    if logits.device.type == "cpu":
        return torch.softmax(logits, -1, out=logits)
    return torch.softmax(logits, -1)


def _wanted(layer: _Layer, aim: _Aim, count: int) -> tuple[Any, Tensor | None]:
    """Which positions are held, and the logarithms of what the base says there."""
    if aim.base is None or not len(aim.base):
        return slice(None), None
    near = slice(None) if len(aim.base) == count else aim.nearness != 0
    logits = multiply(aim.base, layer.weight, layer.bias).float()
    return near, torch.log_softmax(logits, -1)


def _judged(layer: _Layer, states: Tensor, aim: _Aim, asked: bool) -> _Judged:
    """Some positions: their logits are made here, and gone afterwards."""
    logits = multiply(states, layer.weight, layer.bias).float()
    highest = logits.amax(-1, keepdim=True)
    said = logits.gather(1, aim.targets[:, None])
    mean = logits.mean(-1, keepdim=True) if aim.smoothing else said
    near, wanted = _wanted(layer, aim, len(states))
    # Σ q · (log q - x), before the logits make room for p
    apart = None if wanted is None else (wanted.exp() * (wanted - logits[near])).sum(-1, True)
    likely = softmax_in_place(logits)
    # p of the likeliest is 1 / Σ exp(x - max x)
    norm = highest - likely.amax(-1, keepdim=True).log()
    losses = ((1 - aim.smoothing) * (norm - said) + aim.smoothing * (norm - mean)).squeeze(1)
    total = (losses * aim.counted).sum()
    if apart is not None:
        distance = (apart + norm[near]).squeeze(1)
        total = total + (distance * aim.nearness[near]).sum()
    if not asked:
        return _Judged(losses, total, None)
    # of the logits, in the memory of p
    gradient = likely
    if aim.weighted:
        gradient *= (aim.counted + aim.nearness)[:, None]
    if aim.smoothing:
        gradient -= aim.counted[:, None] * (aim.smoothing / likely.shape[-1])
    gradient.scatter_add_(1, aim.targets[:, None], aim.counted[:, None] * (aim.smoothing - 1))
    if wanted is not None:
        gradient[near] -= wanted.exp_() * aim.nearness[near, None]
    return _Judged(losses, total, gradient.to(layer.weight.dtype))
