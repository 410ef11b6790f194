"""How sure a figure is: 95% intervals, of one model and of the difference of two.

Rows are drawn anew with replacement (Efron's bootstrap, percentiles), by a seed. Of a
difference both models have the same rows drawn, since how hard a row is touches both alike.
Shares of right answers have Wilson's interval (1927), which also says something of 16 of 16.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

RESAMPLES = 1000
LEVEL = 0.95
# the normal distribution's quantile of that level, on both sides
NORMAL = 1.959963984540054
# numbers of rows that are drawn at once
AT_ONCE = 2**22


@dataclass(frozen=True)
class Figure:
    """A value and its interval; low and high are None where there is nothing to draw from."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class PerRow:
    """What each row adds to a figure: the sum of `amounts` over the sum of `weights`.

    A mean has the weights 1; a loss has sums of cross entropies and numbers of tokens.
    """

    amounts: Sequence[float]
    weights: Sequence[float]

    @classmethod
    def mean_of(cls, values: Sequence[float]) -> "PerRow":
        """Rows that count alike."""
        return cls(values, [1.0] * len(values))


Change = Callable[[Numbers], Numbers]


def _as_it_is(values: Numbers) -> Numbers:
    return values


def estimate(rows: PerRow, seed: int = 0, change: Change = _as_it_is) -> Figure:
    """A figure with its interval; `change` is applied to values, such as exp for a perplexity."""
    amounts, weights = np.asarray(rows.amounts, float), np.asarray(rows.weights, float)
    value = float(change(np.array([amounts.sum() / weights.sum()]))[0])
    drawn = [
        change(amounts[numbers].sum(1) / weights[numbers].sum(1))
        for numbers in _draws(len(amounts), seed)
    ]
    return _between(value, drawn)


def difference(first: PerRow, second: PerRow, seed: int = 0, change: Change = _as_it_is) -> Figure:
    """The first figure less the second, both of the same rows."""
    assert len(first.amounts) == len(second.amounts), "a difference is of the same rows"
    each = [
        (np.asarray(rows.amounts, float), np.asarray(rows.weights, float))
        for rows in (first, second)
    ]
    one, other = (change(np.array([amounts.sum() / weights.sum()]))[0] for amounts, weights in each)
    drawn = []
    for numbers in _draws(len(first.amounts), seed):
        ours, theirs = (change(a[numbers].sum(1) / w[numbers].sum(1)) for a, w in each)
        drawn.append(ours - theirs)
    return _between(float(one - other), drawn)


def share(right: Sequence[bool]) -> Figure:
    """The share of right answers, with Wilson's interval."""
    count, part = len(right), sum(right) / len(right)
    square = NORMAL**2
    middle = (part + square / (2 * count)) / (1 + square / count)
    spread = part * (1 - part) / count + square / (4 * count**2)
    half = NORMAL / (1 + square / count) * math.sqrt(spread)
    # without a remainder of rounding beyond 0 and 1
    return Figure(part, max(0.0, min(part, middle - half)), min(1.0, max(part, middle + half)))


def _draws(count: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """(resamples, count) numbers of rows, RESAMPLES in all, a part of them at a time."""
    random = np.random.default_rng(seed)
    left = RESAMPLES if count > 1 else 0
    while left:
        some = min(left, max(1, AT_ONCE // count))
        yield random.integers(0, count, (some, count))
        left -= some


def _between(value: float, drawn: Sequence[Numbers]) -> Figure:
    if not drawn:
        return Figure(value)
    tail = 50 * (1 - LEVEL)
    low, high = np.percentile(np.concatenate(drawn), [tail, 100 - tail])
    return Figure(value, float(low), float(high))
