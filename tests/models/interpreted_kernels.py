"""Each kernel, run by Triton's interpreter on this processor, against the torch code.

test_kernels.py starts pytest on this file with TRITON_INTERPRET=1, which has to be set before
triton is imported.
"""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import triton
from transformers import Glm4Config, Glm4ForCausalLM, LlamaConfig, LlamaForCausalLM
from triton.runtime import interpreter

from tuneglm.models import fast, kernels, rotary
from tuneglm.models.rotary import FORMS, Form

WHOLE, HALF = torch.float32, torch.bfloat16
TYPES = pytest.mark.parametrize("dtype", [WHOLE, HALF], ids=["float32", "bfloat16"])
# of the largest number: float32's rounding of sums, and one step of bfloat16's
CLOSE = {WHOLE: 1e-6, HALF: 2.0**-7}


@pytest.fixture(autouse=True)
def launched(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Kernels take what lies on the processor; their names as they were launched."""
    names: list[str] = []
    own = kernels._kernel

    def kernel(name: str) -> Any:
        names.append(name)
        return own(name)

    monkeypatch.setattr(kernels, "take", lambda states: True)
    monkeypatch.setattr(kernels, "are_at_hand", lambda: True)
    monkeypatch.setattr(kernels, "_kernel", kernel)
    monkeypatch.setattr(kernels, "_give_up", fail)
    yield names


@pytest.fixture(autouse=True)
def rounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """bfloat16 to the nearest, as a GPU rounds; the interpreter by itself cuts it off."""
    own = interpreter._convert_float

    def convert(data: Any, one: Any, other: Any, mode: Any) -> Any:
        if (one, other) != (triton.language.float32, triton.language.bfloat16):
            return own(data, one, other, mode)
        # numpy has no such type: the interpreter holds its bits
        return torch.tensor(data).bfloat16().view(torch.uint16).numpy()

    monkeypatch.setattr(interpreter, "_convert_float", convert)


def fail(name: str, error: Exception) -> None:
    raise error


def drawn(*shape: int, dtype: torch.dtype = WHOLE, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def outcome(compute: Callable[..., Any], *given: torch.Tensor) -> list[torch.Tensor]:
    """What is computed, and the gradients of what it is computed from."""
    leaves = [each.detach().requires_grad_(each.requires_grad) for each in given]
    found = compute(*leaves)
    outputs = found if isinstance(found, tuple) else (found,)
    arriving = [drawn(*each.shape, seed=9 + i).to(each.dtype) for i, each in enumerate(outputs)]
    torch.autograd.backward(outputs, arriving)
    return [*outputs, *(each.grad for each in leaves if each.grad is not None)]


def assert_alike(
    monkeypatch: pytest.MonkeyPatch, compute: Callable[..., Any], *given: torch.Tensor
) -> None:
    found = outcome(compute, *given)
    with monkeypatch.context() as patched:
        patched.setattr(kernels, "take", lambda states: False)
        wanted = outcome(compute, *given)
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted):
        assert one.dtype == other.dtype and one.shape == other.shape
        # what comes out in float32 was rounded on its way, where anything that went in was
        within = max(CLOSE[each.dtype] for each in given) * other.float().abs().max()
        assert (one.float() - other.float()).abs().max() <= within


@TYPES
@pytest.mark.parametrize("is_trained", [True, False], ids=["trained", "frozen"])
@pytest.mark.parametrize("shape", [(3, 7, 48), (2, 4096), (2, 3, 5, 128), (1, 7), (45, 600)])
def test_a_norm(
    monkeypatch: pytest.MonkeyPatch,
    launched: list[str],
    shape: tuple[int, ...],
    is_trained: bool,
    dtype: torch.dtype,
) -> None:
    states = (3 * drawn(*shape, dtype=dtype)).requires_grad_()
    weight = drawn(shape[-1], dtype=dtype, seed=1).requires_grad_(is_trained)
    norm: Any = lambda *given: fast._Norm.apply(*given, 1e-5)  # noqa: E731
    assert_alike(monkeypatch, norm, states, weight)
    assert launched == ["norm", "norm_back"]


def test_a_norm_of_half_precision_whose_weight_is_trained_in_float32(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    states = drawn(4, 9, 96, dtype=HALF).requires_grad_()
    weight = drawn(96, seed=1).requires_grad_()
    norm: Any = lambda *given: fast._Norm.apply(*given, 1e-5)  # noqa: E731
    assert_alike(monkeypatch, norm, states, weight)


def test_a_norm_of_rows_that_lie_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    states = drawn(6, 5, 3 * 40)
    weight = drawn(40, seed=1).requires_grad_()

    def norm(states: torch.Tensor, weight: torch.Tensor) -> Any:
        return fast._Norm.apply(states[..., 40:80], weight, 1e-5)

    def turned(states: torch.Tensor, weight: torch.Tensor) -> Any:
        return fast._Norm.apply(states.transpose(-1, -2)[..., :40], weight[:5], 1e-5)

    assert_alike(monkeypatch, norm, states.requires_grad_(), weight)
    assert_alike(monkeypatch, turned, states.requires_grad_(), weight)


def test_a_weight_s_gradient_has_the_same_bits_each_time() -> None:
    states, weight = drawn(9000, 4).requires_grad_(), drawn(4, seed=1).requires_grad_()
    norm: Any = lambda *given: fast._Norm.apply(*given, 1e-5)  # noqa: E731
    one, other = (outcome(norm, states, weight) for _ in range(2))
    assert all(torch.equal(*pair) for pair in zip(one, other))


@TYPES
@pytest.mark.parametrize("shape", [(3, 7, 48), (2, 1368), (1, 3)])
def test_a_gate(
    monkeypatch: pytest.MonkeyPatch,
    launched: list[str],
    shape: tuple[int, ...],
    dtype: torch.dtype,
) -> None:
    gate, values = (4 * drawn(*shape, dtype=dtype, seed=seed) for seed in (0, 1))
    assert_alike(monkeypatch, fast._Gated.apply, gate.requires_grad_(), values.requires_grad_())
    both = 4 * drawn(*shape[:-1], 2 * shape[-1], dtype=dtype)
    assert_alike(monkeypatch, fast._GatedPair.apply, both.requires_grad_())
    assert launched == 2 * ["gated", "gated_back"]


def test_a_gate_far_from_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = torch.linspace(-200, 200, 64)[None].requires_grad_()
    assert_alike(monkeypatch, fast._Gated.apply, gate, drawn(1, 64).requires_grad_())


@TYPES
@pytest.mark.parametrize("turned", [32, 24], ids=["whole", "part"])
@pytest.mark.parametrize("form", FORMS, ids=["halves", "shared", "neighbours", "quarters"])
def test_a_rotation(
    monkeypatch: pytest.MonkeyPatch,
    launched: list[str],
    form: Form,
    turned: int,
    dtype: torch.dtype,
) -> None:
    # laid out as projections leave them
    query, key = (drawn(2, 5, heads, 32, dtype=dtype, seed=heads) for heads in (20, 2))
    cos, sin = (drawn(2, 5, turned, dtype=dtype, seed=seed) for seed in (1, 2))

    def turn(query: torch.Tensor, key: torch.Tensor) -> Any:
        return rotary._Turn.apply(query.transpose(1, 2), key.transpose(1, 2), cos, sin, form)

    given = query.requires_grad_(), key.requires_grad_()
    assert_alike(monkeypatch, turn, *given)
    assert launched == ["turn", "turn"]


def test_a_rotation_in_float32_of_half_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    query, key = (drawn(1, heads, 7, 16, dtype=HALF, seed=heads) for heads in (4, 4))
    cos, sin = (drawn(1, 7, 8, seed=seed) for seed in (1, 2))
    turn: Any = lambda *given: rotary._Turn.apply(*given, cos, sin, FORMS[0])  # noqa: E731
    assert_alike(monkeypatch, turn, query.requires_grad_(), key.requires_grad_())


SIZES: dict[str, Any] = {
    "vocab_size": 48,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "pad_token_id": 0,
}


@pytest.mark.parametrize(
    "made",
    [lambda: Glm4ForCausalLM(Glm4Config(**SIZES)), lambda: LlamaForCausalLM(LlamaConfig(**SIZES))],
    ids=["glm4", "llama"],
)
def test_a_whole_model(launched: list[str], made: Callable[[], Any]) -> None:
    torch.manual_seed(0)
    model = made()
    plain = copy.deepcopy(model)
    fast.make_fast(model)
    launched.clear()  # of what was tried
    ids = torch.arange(1, 29).view(2, 14)
    losses = [each(input_ids=ids, labels=ids, use_cache=False).loss for each in (model, plain)]
    for loss in losses:
        loss.backward()
    assert torch.allclose(*losses, rtol=1e-5)
    for one, other in zip(model.parameters(), plain.parameters()):
        assert torch.allclose(one.grad, other.grad, rtol=1e-4, atol=1e-6)
    assert set(launched) == {"norm", "norm_back", "gated", "gated_back", "turn"}
    assert launched.count("turn") == 2
