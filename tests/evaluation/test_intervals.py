"""Intervals: against what statistics says of known samples."""

import numpy as np
import pytest

from tuneglm.evaluation.intervals import PerRow, difference, estimate, share


def test_the_interval_of_a_mean_is_that_of_the_normal_distribution() -> None:
    values = np.random.default_rng(1).normal(10, 2, 400)
    figure = estimate(PerRow.mean_of(values.tolist()))
    half = 1.96 * values.std() / 20
    assert figure.value == pytest.approx(values.mean())
    assert figure.low == pytest.approx(values.mean() - half, abs=0.03)
    assert figure.high == pytest.approx(values.mean() + half, abs=0.03)


def test_it_is_the_same_each_time_and_another_with_another_seed() -> None:
    rows = PerRow.mean_of(np.random.default_rng(0).normal(0, 1, 30).tolist())
    assert estimate(rows, 3) == estimate(rows, 3) != estimate(rows, 4)


def test_a_loss_is_a_mean_over_tokens() -> None:
    rows = PerRow([3.0, 1.0], [1, 3])
    figure = estimate(rows)
    assert figure.value == 1
    assert (figure.low, figure.high) == (pytest.approx(1 / 3), 3)
    perplexity = estimate(rows, change=np.exp)
    assert perplexity.value == pytest.approx(np.e)
    assert perplexity.high == pytest.approx(np.exp(3))


def test_a_difference_of_the_same_rows_is_surer_than_two_of_others() -> None:
    random = np.random.default_rng(2)
    hard = random.normal(50, 20, 100)
    one = PerRow.mean_of((hard + 1 + random.normal(0, 1, 100)).tolist())
    other = PerRow.mean_of(hard.tolist())
    figure = difference(one, other)
    assert figure.low is not None and figure.high is not None
    assert 0 < figure.low < figure.value < figure.high < 2
    first, second = estimate(one), estimate(other)
    assert first.low is not None and second.high is not None
    assert first.low < second.high


def test_a_share_says_something_of_all_right() -> None:
    figure = share([True] * 16)
    assert figure.value == figure.high == 1
    assert figure.low == pytest.approx(0.8064, abs=1e-4)
    half = share([True, False])
    assert (half.low, half.high) == (
        pytest.approx(0.0945, abs=1e-4),
        pytest.approx(0.9055, abs=1e-4),
    )
    none = share([False] * 5)
    assert none.value == none.low == 0


def test_one_row_has_no_interval() -> None:
    figure = estimate(PerRow.mean_of([2.0]))
    assert (figure.value, figure.low, figure.high) == (2, None, None)
