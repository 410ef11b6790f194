"""A frozen head's loss and the gradient of its input, a block of the vocabulary at a time.

For some words the logits of all positions are made, and go at once into what is left of
them: the largest one, the sum of exponentials, and the head's rows weighted by these, all
brought to the new maximum whenever it grows. That is attention as arXiv 2205.14135 computes it: the
positions are queries, and the head's rows keys and values in one. Logits are made once,
and stand near the processor while they are needed.

Source: the gradient for a state of the cross entropy of softmax p at target t is
Σ p_v W_v - W_t, that of KL(q ‖ p) is Σ p_v W_v - Σ q_v W_v. The first is summed up as
Σ_{v≠t} p_v W_v - (1 - p_t) W_t, with 1 - p_t as a sum of the others: of a token that is well known
both are small, and so is what halves lose of them. The second is a difference of two large sums,
for float32 alone.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tuneglm.models.products import multiply, multiply_back
from tuneglm.stages.question import Aim, Layer

# of logits made at once, and the fewest words of a block
BLOCK_BYTES, FEWEST_WORDS = 3 * 2**19, 256
FLOAT32 = 4


def by_blocks(
    layer: Layer,
    states: Tensor,
    aim: Aim,
    asked: bool,
    choose: Callable[[Iterator[Any]], Iterator[Any]] | None,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """States of (positions, hidden) → the sum, each cross entropy, the sum's gradient for states.

    asked  whether the gradient is
    """
    count = len(states)
    states, aim = aim.evened(states)
    tuned = _Softmax(states, asked)
    base = None if aim.base is None or not len(aim.base) else _Softmax(aim.base, asked)
    said = tuned.highest.clone()
    # of the vocabulary, to which smoothing gives a share
    usual = layer.weight.mean(0) if aim.smoothing else None
    parts = _blocks(len(layer.weight), len(states))
    for part in parts if choose is None else choose(parts):
        words = Layer(layer.weight[part], None if layer.bias is None else layer.bias[part])
        logits = tuned.logits(words)
        targets = _Targets.within(aim.targets, part)
        said = torch.where(targets.are_here, logits.gather(1, targets.places), said)
        if base is not None:
            wanted = base.logits(words)
            base.take(wanted, words, values=wanted - logits[aim.near])
        tuned.take(logits, words, targets)
    # what the others are beside the target
    total = tuned.total + (said - tuned.highest).exp()
    norm = tuned.highest + total.log()
    losses = aim.loss(norm, said, said if usual is None else _mean(layer, states, usual))
    summed = (losses * aim.counted).sum()
    if base is not None:
        distance = base.valued / base.total - base.highest - base.total.log() + norm[aim.near]
        summed = summed + (distance.squeeze(1) * aim.nearness[aim.near]).sum()
    if not asked:
        return summed, losses[:count], None
    gradient = _gradient(layer, aim, tuned, total, usual)
    if base is not None:
        gradient[aim.near] -= base.expected(base.total).mul_(aim.nearness[aim.near, None])
    return summed, losses[:count], gradient[:count].to(states.dtype)


def _blocks(words: int, positions: int) -> Iterator[slice]:
    """Of the vocabulary, each as large as its logits may be."""
    most = BLOCK_BYTES // (FLOAT32 * max(1, positions))
    size = max(1, most // FEWEST_WORDS) * FEWEST_WORDS
    for first in range(0, words, size):
        yield slice(first, min(first + size, words))


@dataclass(frozen=True)
class _Targets:
    """Which targets stand in a block, and where; of the others any place: (positions, 1) both."""

    are_here: Tensor
    places: Tensor

    @classmethod
    def within(cls, targets: Tensor, part: slice) -> "_Targets":
        """Of a block of the vocabulary."""
        places = (targets - part.start)[:, None]
        last = part.stop - part.start - 1
        return cls((places >= 0) & (places <= last), places.clamp(0, last))


def _mean(layer: Layer, states: Tensor, usual: Tensor) -> Tensor:
    """Of all words' logits, (positions, 1), from the head's mean row."""
    mean = (states @ usual[:, None]).float()
    return mean if layer.bias is None else mean + layer.bias.mean()


def _gradient(
    layer: Layer, aim: Aim, tuned: "_Softmax", total: Tensor, usual: Tensor | None
) -> Tensor:
    """(positions, hidden), in the memory of what the softmax summed up; the base's is left out."""
    unlikely = tuned.total / total  # 1 - p of the target
    counted, smoothing = aim.counted[:, None], aim.smoothing
    of_target = counted * (smoothing - unlikely)
    gradient = tuned.expected(total)
    if aim.weighted:
        nearness = aim.nearness[:, None]
        of_target = of_target + nearness * (1 - unlikely)
        gradient.mul_(counted + nearness)
    gradient.addcmul_(layer.weight[aim.targets], of_target)
    if usual is not None:
        gradient.sub_(counted * smoothing * usual)
    return gradient


class _Softmax:
    """What is left of the logits of the blocks that were taken, for some states.

    highest  (positions, 1): the largest
    total    (positions, 1): Σ exp(logit - highest), but for targets
    valued   (positions, 1): Σ exp(logit - highest) · value
    rows     (positions, hidden): Σ exp(logit - highest) · row of the head; None: not asked for
    """

    def __init__(self, states: Tensor, asked: bool) -> None:
        self._states = states
        self.highest = torch.full((len(states), 1), -torch.inf, device=states.device)
        self.total, self.valued = (torch.zeros_like(self.highest) for _ in range(2))
        self.rows = torch.zeros_like(states, dtype=torch.float32) if asked else None

    def logits(self, words: Layer) -> Tensor:
        """(positions, words of the block), in float32."""
        return multiply(self._states, words.weight, words.bias).float()

    def take(
        self,
        logits: Tensor,
        words: Layer,
        targets: _Targets | None = None,
        values: Tensor | None = None,
    ) -> None:
        """Add a block's logits, which do not outlive it; targets are left out."""
        highest = torch.maximum(self.highest, logits.amax(-1, keepdim=True))
        shrunk = self.highest.sub_(highest).exp_()
        likely = logits.sub_(highest).exp_()
        self.highest = highest
        if targets is not None:
            left = likely.gather(1, targets.places).masked_fill_(targets.are_here, 0)
            likely.scatter_(1, targets.places, left)
        self.total.mul_(shrunk).add_(likely.sum(-1, keepdim=True))
        if values is not None:
            self.valued.mul_(shrunk).add_(values.mul_(likely).sum(-1, keepdim=True))
        if self.rows is not None:
            product = multiply_back(likely.to(words.weight.dtype), words.weight)
            self.rows.mul_(shrunk).add_(product)

    def expected(self, total: Tensor) -> Tensor:
        """(positions, hidden): the mean row, where all add up to `total`; asked last."""
        assert self.rows is not None
        return self.rows.div_(total)
