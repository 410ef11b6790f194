"""Tokens drawn together are those drawn alone, and as often as their probabilities say."""

from typing import Any

import pytest
import torch

from tuneglm.writing import sampling
from tuneglm.writing.row import Row, Sampling
from tuneglm.writing.sampling import draw


def row_of(prompt: list[int] | None = None, **settings: Any) -> Row:
    return Row(prompt or [1], 1000, Sampling(**settings), "base")


def draws(row: Row, logits: torch.Tensor, count: int) -> list[int]:
    return [draw(logits[None], [row])[0][0] for _ in range(count)]


@pytest.mark.parametrize("likely", [2, 64])
def test_tokens_come_as_often_as_they_are_likely(
    likely: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the nucleus is larger than what is looked at first."""
    monkeypatch.setattr(sampling, "LIKELY", likely)
    probabilities = torch.tensor([0.05, 0.4, 0.05, 0.3, 0.2])
    free = draws(row_of(seed=1), probabilities.log(), 4000)
    shares = torch.bincount(torch.tensor(free), minlength=5) / 4000
    assert torch.allclose(shares, probabilities, atol=0.03)
    # 0.4 + 0.3 are less than 0.75: the third is in, the others are not
    nucleus = draws(row_of(seed=1, top_p=0.75), probabilities.log(), 4000)
    shares = torch.bincount(torch.tensor(nucleus), minlength=5) / 4000
    assert torch.allclose(shares, torch.tensor([0, 4, 0, 3, 2]) / 9, atol=0.03)
    assert set(draws(row_of(seed=1, top_p=0.4), probabilities.log(), 50)) == {1}
    cold = draws(row_of(seed=1, temperature=0.1), probabilities.log(), 500)
    assert cold.count(1) > 450


def test_a_row_draws_what_it_draws_alone() -> None:
    """Whatever others do beside it."""
    torch.manual_seed(0)
    settings: list[dict[str, Any]] = [
        {"temperature": 0},
        {"seed": 3},
        {"seed": 3, "top_p": 0.5},
        {"seed": 4, "temperature": 1.7, "presence": 1.0, "frequency": 0.5},
        {"seed": 3, "top_p": 0.9, "bias": {7: 3.0}},
        {"temperature": 0, "repetition": 1.3},
        {"seed": 5, "logprobs": 2},
    ]
    steps = torch.randn(12, len(settings), 300)

    def written(chosen: list[int]) -> list[list[int]]:
        rows = [row_of([5, 9], **settings[place]) for place in chosen]
        for step in steps:
            for row, (token, score) in zip(rows, draw(step[chosen], rows)):
                row.append(token, score)
        return [row.ids for row in rows]

    together = written([*range(len(settings))])
    assert together == [written([place])[0] for place in range(len(settings))]


def test_penalties_are_taken_off_what_was_written() -> None:
    logits = torch.tensor([2.0, 1.9, 1.8, -1.0])
    row = row_of([2], temperature=0, presence=0.15)
    for _ in range(3):
        row.append(*draw(logits[None], [row])[0])
    assert row.ids == [0, 1, 0]
    row = row_of([2], temperature=0, frequency=0.15)
    for _ in range(4):
        row.append(*draw(logits[None], [row])[0])
    assert row.ids == [0, 1, 0, 2]
    # of the prompt too, as transformers has it
    assert draws(row_of([0], temperature=0, repetition=1.5), logits, 1) == [1]
    assert draws(row_of(temperature=0, bias={3: 10.0}), logits, 1) == [3]


def test_what_is_told_is_the_models_own() -> None:
    """Before anything that a request adds or takes away."""
    logits = torch.tensor([[2.0, 1.0, 0.0], [2.0, 1.0, 0.0]])
    rows = [row_of(temperature=0, logprobs=2, bias={2: 9.0}), row_of(temperature=0)]
    (token, score), (other, nothing) = draw(logits, rows)
    expected = logits[0].log_softmax(-1)
    assert (token, other, nothing) == (2, 0, None)
    assert score is not None and score.logprob == pytest.approx(expected[2].item())
    assert [one for one, _ in score.likeliest] == [0, 1]


@pytest.mark.parametrize("share", [0.3, 0.8, 0.999])
def test_a_large_nucleus_is_the_sorted_one(share: float) -> None:
    """Of distributions from almost flat to steep, token by token."""
    made = torch.Generator().manual_seed(0)
    for steepness in (0.01, 1.0, 4.0):
        probabilities = (torch.randn(1, 5000, generator=made) * steepness).softmax(-1)
        ordered, tokens = probabilities[0].sort(descending=True)
        count = int((ordered.double().cumsum(0) - ordered < share).sum())
        exact = probabilities.new_zeros(5000)
        exact[tokens[:count]] = ordered[:count]
        sums, ranks = exact.double().cumsum(0), (exact > 0).cumsum(0)
        for chance in torch.linspace(0.001, 0.999, 40).tolist():
            given = torch.tensor([[share]], dtype=torch.float64)
            drawn = sampling._of_many(
                probabilities, given, torch.tensor([[chance]], dtype=torch.float64)
            )
            expected = int(torch.searchsorted(sums, chance * sums[-1], right=True))
            assert exact[int(drawn)] > 0
            # one token more or less at the edge shifts all by its probability
            assert abs(int(ranks[int(drawn)]) - int(ranks[expected])) <= 1
