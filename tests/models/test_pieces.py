"""Rows cut into pieces give what one mask of tokens × tokens gives, and keep no such mask."""

from collections.abc import Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from tuneglm.models import pieces, varlen
from tuneglm.models.pieces import attend_pieces
from tuneglm.models.seen_by_all import attend_both
from tuneglm.models.segments import KeysValues, Segments

HEADS, HEAD, SCALE = 4, 16, 0.3
LENGTHS = (40, 7, 90, 1, 64)
CONTEXTS = {
    "none": (0, 0, 0, 0, 0),
    "a tenth": (4, 1, 9, 0, 6),
    "half": (20, 3, 45, 0, 32),
    "nine tenths": (36, 6, 81, 0, 58),
    "all": LENGTHS,
    "each its own": (4, 7, 45, 1, 0),
}


def made(*sizes: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(1, *sizes, HEAD, dtype=dtype, requires_grad=True)


def module_of(groups: int) -> Any:
    return SimpleNamespace(num_key_value_groups=groups, is_causal=True)


def by_mask(
    query: Tensor, key: Tensor, value: Tensor, segments: Segments, own: KeysValues | None
) -> Tensor:
    """One call for all rows, as its mask says."""
    lengths = torch.tensor(segments.lengths)
    row = torch.repeat_interleave(torch.arange(len(lengths)), lengths)
    ends = (lengths.cumsum(0) - lengths + torch.tensor(segments.contexts))[row]
    place = torch.arange(len(row))
    seen = (row[:, None] == row) & ((place <= place[:, None]) | (place < ends[:, None]))
    if own is not None:
        key, value = torch.cat((own[0], key), dim=2), torch.cat((own[1], value), dim=2)
        seen = torch.cat((torch.ones(len(row), own[0].shape[2], dtype=torch.bool), seen), dim=1)
    output = scaled_dot_product_attention(
        query, key, value, attn_mask=seen, scale=SCALE, enable_gqa=True
    )
    return output.transpose(1, 2)


@pytest.fixture
def long_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """However short a row is, it goes the way of long ones."""
    monkeypatch.setattr(pieces, "FEWEST_KEYS", 0)


@pytest.mark.parametrize("fewest", [0, 10_000])
@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("prefix", [0, 6])
@pytest.mark.parametrize("groups", [1, 2])
def test_values_and_gradients_are_those_of_one_mask(
    fewest: int, context: str, prefix: int, groups: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "FEWEST_KEYS", fewest)
    torch.manual_seed(0)
    tokens, shared = sum(LENGTHS), HEADS // groups
    states = made(HEADS, tokens), made(shared, tokens), made(shared, tokens)
    own = (made(shared, prefix), made(shared, prefix)) if prefix else None
    segments = Segments(LENGTHS, CONTEXTS[context])
    outputs = (
        attend_pieces(module_of(groups), *states, segments, own, scaling=SCALE),
        by_mask(*states, segments, own),
    )
    torch.testing.assert_close(*outputs, atol=2e-6, rtol=1e-5)
    towards = torch.randn_like(outputs[0])
    ours, theirs = (
        torch.autograd.grad(output, (*states, *(own or ())), towards) for output in outputs
    )
    torch.testing.assert_close(ours, theirs, atol=5e-6, rtol=1e-5)


@pytest.mark.usefixtures("long_rows")
def test_a_gradient_may_lie_as_it_likes() -> None:
    """That of a sum is one number, however many it stands for."""
    torch.manual_seed(0)
    states = made(HEADS, 30), made(HEADS, 30), made(HEADS, 30)
    segments = Segments((30,), (12,))
    both = attend_pieces(module_of(1), *states, segments, None, scaling=SCALE)
    ours = torch.autograd.grad(both.sum(), states)
    theirs = torch.autograd.grad(by_mask(*states, segments, None).sum(), states)
    torch.testing.assert_close(ours, theirs, atol=5e-6, rtol=1e-5)


def gradients_of(attended: Any, states: Sequence[Tensor], towards: Tensor) -> list[Tensor]:
    given = [each.detach().requires_grad_() for each in states]
    output = attended(*given)
    return [each.float() for each in torch.autograd.grad(output, given, towards.to(output.dtype))]


@pytest.mark.usefixtures("long_rows")
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("context", [9, 45, 81])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_gradients_in_half_precision_are_as_near_as_those_of_one_mask(
    dtype: torch.dtype, context: int, groups: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    joined = Mock(wraps=attend_both)
    monkeypatch.setattr(pieces, "attend_both", joined)
    torch.manual_seed(0)
    segments = Segments((90,), (context,))
    ours = partial(attend_pieces, module_of(groups), segments=segments, own=None, scaling=SCALE)
    theirs = partial(by_mask, segments=segments, own=None)
    heads = HEADS, HEADS // groups, HEADS // groups
    states = [made(each, 90).detach().to(dtype) for each in heads]
    towards = torch.randn(1, 90, HEADS, HEAD).to(dtype).float()
    truth = gradients_of(theirs, [each.float() for each in states], towards)
    near, usual = (gradients_of(each, states, towards) for each in (ours, theirs))
    joined.assert_called_once()
    for one, other, exact in zip(near, usual, truth, strict=True):
        assert 0 < (one - exact).norm() <= 1.5 * (other - exact).norm()
    # what autocast makes of float32 is the same, but for the type that gradients come back in
    with torch.autocast("cpu", dtype):
        cast = gradients_of(ours, [each.float() for each in states], towards)
    torch.testing.assert_close(cast, near, atol=0, rtol=0)


@pytest.mark.usefixtures("long_rows")
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_in_half_precision_it_is_as_near_as_one_mask(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    exact = [made(HEADS, 90).detach() for _ in range(3)]
    states = [each.to(dtype).requires_grad_() for each in exact]
    segments = Segments((90,), (40,))
    truth = by_mask(*[each.detach().float() for each in states], segments, None)
    ours = attend_pieces(module_of(1), *states, segments, None, scaling=SCALE)
    theirs = by_mask(*states, segments, None)
    assert ours.dtype == dtype
    assert (ours - truth).abs().max() <= 2 * (theirs - truth).abs().max()
    with torch.autocast("cpu", dtype):
        cast = attend_pieces(module_of(1), *exact, segments, None, scaling=SCALE)
    torch.testing.assert_close(cast, ours, atol=0, rtol=0)


def kept(tokens: int, context: int, prefix: int) -> int:
    """Bytes that one layer's attention keeps of a row for the way back."""
    held: dict[int, Tensor] = {}

    def hold(tensor: Tensor) -> Tensor:
        held[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    states = made(HEADS, tokens), made(HEADS, tokens), made(HEADS, tokens)
    own = (made(HEADS, prefix), made(HEADS, prefix)) if prefix else None
    with torch.autograd.graph.saved_tensors_hooks(hold, lambda tensor: tensor):
        attend_pieces(module_of(1), *states, Segments((tokens,), (context,)), own)
    return sum(each.untyped_storage().nbytes() for each in held.values())


@pytest.mark.parametrize("prefix", [0, 16])
@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.9, 1])
def test_no_mask_of_a_long_row_is_kept(share: float, prefix: int) -> None:
    tokens = 768
    # queries, keys, values, the output and a sum for each query and head
    states = 4 * HEADS * ((4 * HEAD + 1) * tokens + 2 * HEAD * prefix)
    assert kept(tokens, int(share * tokens), prefix) <= 1.01 * states


def test_what_the_kernel_does_not_know_goes_to_sdpa() -> None:
    states = made(HEADS, 700), made(HEADS, 700), made(HEADS, 700)
    segments = Segments((700,), (300,))
    with pytest.raises(ValueError, match="softcap"):
        attend_pieces(module_of(1), *states, segments, None, softcap=30.0)
    dropped = attend_pieces(module_of(1), *states, segments, None, dropout=1.0)
    assert not dropped.any()


@pytest.mark.parametrize(
    ("asked", "is_taken"),
    [({}, True), ({"softcap": 30.0}, False), ({"dropout": 0.1}, False)],
)
def test_what_the_one_kernel_does_not_know_is_not_given_to_it(
    asked: dict[str, Any], is_taken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would leave it out without a word. Here a processor is said to be a fit GPU."""
    monkeypatch.setattr(varlen, "_is_fit", lambda query: True)
    monkeypatch.setattr(varlen, "_kernel", lambda: torch.add)
    assert varlen.has_varlen(torch.zeros(1, 2, 3, 64), False, **asked) is is_taken
