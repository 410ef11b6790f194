"""A head's loss and gradients, some positions at a time.

Their logits are made, give loss and gradients, and are gone: of a vocabulary of 65,000 or
151,000 those of one row are larger than all that the layers keep. For heads that are trained,
whose gradient needs the softmax as a whole, for GPUs, which are kept busy by few large products,
and for halves near to a base, where p - q has to be taken before it is rounded.

Source: the gradient of the cross entropy of softmax p at target t is p - e_t, that of
KL(q ‖ p) is p - q.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tuneglm.models.products import multiply, multiply_back
from tuneglm.stages.question import Aim, Layer

# of logits made at once: on a processor they should stay near it
CHUNK_BYTES = {"cpu": 32 * 2**20, "cuda": 128 * 2**20}
# and a multiple of it
FEWEST_POSITIONS = 16
FLOAT32 = 4


@dataclass
class Gradients:
    """Those that are asked for; the others are None, and the weight's until there is some of it."""

    states: Tensor | None
    bias: Tensor | None
    asks_weight: bool
    dtype: torch.dtype
    weight: Tensor | None = None

    @property
    def are_asked(self) -> bool:
        """Whether some is."""
        return self.asks_weight or self.states is not None or self.bias is not None

    @classmethod
    def of(cls, states: Tensor, head: Layer, asks: list[bool]) -> "Gradients":
        """Room for them."""
        of_bias = torch.zeros_like(head.bias) if asks[2] and head.bias is not None else None
        of_states = torch.empty_like(states) if asks[0] else None
        return cls(of_states, of_bias, asks[1], head.weight.dtype)

    def put(self, part: slice, of_logits: Tensor, layer: Layer, states: Tensor) -> None:
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


def by_positions(
    layer: Layer,
    states: Tensor,
    aim: Aim,
    gradients: Gradients,
    choose: Callable[[Iterator[Any]], Iterator[Any]] | None,
) -> tuple[Tensor, Tensor]:
    """States of (positions, hidden) → the sum, and each position's cross entropy."""
    losses = torch.empty(len(states), device=states.device)
    total = torch.zeros((), device=states.device)
    parts = aim.parts(_positions(layer.weight, gradients.asks_weight))
    for part, here in parts if choose is None else choose(parts):
        given, here = here.evened(states[part].to(layer.weight.dtype))
        judged = _judged(layer, given, here, gradients.are_asked)
        losses[part] = judged.losses[: part.stop - part.start]
        total += judged.total
        if judged.gradient is not None:
            gradients.put(part, judged.gradient, layer, given)
    return total, losses


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


def _softmax_in_place(logits: Tensor) -> Tensor:
    """p in the memory of its logits, where a processor makes it row by row."""
    if logits.device.type == "cpu":
        return torch.softmax(logits, -1, out=logits)
    return torch.softmax(logits, -1)


def _wanted(layer: Layer, aim: Aim) -> Tensor | None:
    """The logarithms of what the base says where it is held to."""
    if aim.base is None or not len(aim.base):
        return None
    return torch.log_softmax(multiply(aim.base, layer.weight, layer.bias).float(), -1)


def _judged(layer: Layer, states: Tensor, aim: Aim, asked: bool) -> _Judged:
    """Some positions: their logits are made here, and gone afterwards."""
    logits = multiply(states, layer.weight, layer.bias).float()
    highest = logits.amax(-1, keepdim=True)
    said = logits.gather(1, aim.targets[:, None])
    mean = logits.mean(-1, keepdim=True) if aim.smoothing else said
    near, wanted = aim.near, _wanted(layer, aim)
    # Σ q · (log q - x), before the logits make room for p
    apart = None if wanted is None else (wanted.exp() * (wanted - logits[near])).sum(-1, True)
    likely = _softmax_in_place(logits)
    # p of the likeliest is 1 / Σ exp(x - max x)
    norm = highest - likely.amax(-1, keepdim=True).log()
    losses = aim.loss(norm, said, mean)
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
