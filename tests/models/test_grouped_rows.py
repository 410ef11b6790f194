"""Rows whose heads share keys: values and gradients are those of sdpa, row by row."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from tuneglm.models import grouped_rows, products
from tuneglm.models.grouped_rows import attend_grouped, can_group
from tuneglm.models.segments import Segments

HEADS, SHARED, SIZE = 8, 2, 16


@pytest.fixture(autouse=True)
def library(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(products, "by_onednn", torch.backends.mkldnn.is_available)
    yield


def states(length: int, heads: int = HEADS, shared: int = SHARED) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(length)
    query = torch.randn(1, length, heads, SIZE).transpose(1, 2)
    key, value = (torch.randn(1, length, shared, SIZE).transpose(1, 2) for _ in range(2))
    return query, key, value


def by_sdpa(query: Tensor, key: Tensor, value: Tensor, lengths: tuple[int, ...]) -> Tensor:
    rows = zip(*(each.split(lengths, 2) for each in (query, key, value)), strict=True)
    outputs = [
        scaled_dot_product_attention(*row, is_causal=True, enable_gqa=True, scale=0.3)
        for row in rows
    ]
    return torch.cat(outputs, 2).transpose(1, 2)


@pytest.mark.parametrize("lengths", [(1,), (5, 1, 20), (40,), (3, 300, 129)])
@pytest.mark.parametrize("block", [8, 128])
def test_outputs_and_gradients(
    lengths: tuple[int, ...], block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grouped_rows, "BLOCK", block)
    given = states(sum(lengths))
    target = torch.randn(1, sum(lengths), HEADS, SIZE)
    segments = Segments(lengths, (0,) * len(lengths))
    results = []
    for attend in (
        lambda *each: attend_grouped(*each, segments, 0.3),
        lambda *each: by_sdpa(*each, lengths),
    ):
        leaves = [each.clone().requires_grad_() for each in given]
        output = attend(*leaves)
        (output * target).sum().backward()
        results.append([output, *(leaf.grad for leaf in leaves)])
    for mine, wanted in zip(*results, strict=True):
        assert torch.allclose(mine, wanted, atol=1e-5, rtol=1e-5)


def test_it_is_for_plain_causal_rows_whose_heads_share() -> None:
    query, key, value = states(120)
    plain = Segments((120,), (0,))
    expected = torch.backends.mkldnn.is_available()
    assert can_group(query, key, plain, None) is expected
    assert not can_group(query, key, Segments((120,), (3,)), None)
    assert not can_group(query, key, plain, (key, value))
    assert not can_group(query, key, plain, None, dropout=0.1)
    assert not can_group(query, key, plain, None, sliding_window=8)
    assert not can_group(query, key, Segments((60, 60), (0, 0)), None)
    assert not can_group(query.bfloat16(), key.bfloat16(), plain, None)
    assert not can_group(query, *states(120, shared=4)[1:2], plain, None)
