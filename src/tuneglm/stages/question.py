"""What a head is asked at some positions, and what it answers.

Question  of a batch, as the stage puts it; the answer comes into it
Aim       the same of the positions that are computed
Layer     the head's weights
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from tuneglm.models.products import EVEN


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


def aim_of(question: Question, chosen: Any) -> "Aim":
    """Of a question of (rows, positions) what the chosen ones of them are asked."""
    targets = question.targets.flatten()[chosen]
    counted = torch.ones_like(targets, dtype=torch.float32)
    if question.counted is not None:
        counted = question.counted.flatten()[chosen].float()
    nearness = torch.full_like(counted, question.kl if question.base is not None else 0)
    if question.held is not None:
        nearness *= question.held.flatten()[chosen]
    base = None if question.base is None else question.base.detach()
    weighted = question.counted is not None or base is not None
    return Aim(targets, counted, nearness, base, question.smoothing, weighted)


@dataclass(frozen=True)
class Aim:
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

    def parts(self, size: int) -> Iterator[tuple[slice, "Aim"]]:
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
            yield part, Aim(targets, counted, nearness, base, self.smoothing, self.weighted)

    def with_base_in(self, dtype: torch.dtype) -> "Aim":
        """With the base's states in the type that products are computed in."""
        return self if self.base is None else replace(self, base=self.base.to(dtype))

    @property
    def near(self) -> Any:
        """Which positions are held to the base."""
        is_all = self.base is None or len(self.base) == len(self.targets)
        return slice(None) if is_all else self.nearness != 0

    def loss(self, norm: Tensor, said: Tensor, mean: Tensor) -> Tensor:
        """Cross entropies, (positions,).

        norm, said, mean  (positions, 1): log Σ exp of the logits, the target's logit, all logits'
        """
        smoothing = self.smoothing
        return ((1 - smoothing) * (norm - said) + smoothing * (norm - mean)).squeeze(1)

    def evened(self, states: Tensor) -> "tuple[Tensor, Aim]":
        """With positions behind them that count nothing, up to a number that has a kernel."""
        added = -len(states) % EVEN.get(states.device.type, 1)
        if not added or self.base is not None:
            return states, self
        targets, counted, nearness = (
            functional.pad(each, (0, added)) for each in (self.targets, self.counted, self.nearness)
        )
        padded = replace(self, targets=targets, counted=counted, nearness=nearness)
        return functional.pad(states, (0, 0, 0, added)), padded


@dataclass(frozen=True)
class Layer:
    """The head's weights, in their own type or that of its products."""

    weight: Tensor
    bias: Tensor | None
