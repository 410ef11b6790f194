"""Weights in half the bytes give what the weights give, and only where they are worth it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tuneglm.config import ChatConfig
from tuneglm.demo import MODEL_FOLDER
from tuneglm.generate import ChatModel
from tuneglm.models import halves, products

pytestmark = pytest.mark.skipif(
    halves.ENGINE not in torch.backends.quantized.supported_engines, reason="torch without FBGEMM"
)


@pytest.fixture(autouse=True)
def worth_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """In these stories halves are three times as fast, and small weights are large enough."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(halves, "_times_as_fast", lambda *_: 3.0)
    monkeypatch.setattr(halves, "LEAST", 4)
    monkeypatch.setattr(halves, "LEAST_OF_ONE", 4)
    monkeypatch.setattr(halves, "_KNOWN", {})
    yield


def layer(ins: int = 24, outs: int = 70) -> nn.Linear:
    """A linear layer whose weight has the values of a published one, in float32."""
    made = nn.Linear(ins, outs)
    made.weight.data = made.weight.data.half().float()
    return made


def product(states: Tensor, one: nn.Linear) -> Tensor:
    """As an answer has it."""
    with torch.inference_mode():
        return products.linear(states, one.weight, one.bias)


@pytest.mark.parametrize("rows", [(1,), (3,), (2, 4), (15, 1)])
@pytest.mark.parametrize("sides", [(24, 70), (1, 1), (129, 67)])
def test_products_are_those_of_the_weight(
    rows: tuple[int, ...], sides: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = layer(*sides)
    assert halves.keep_halves(one, None) == one.weight.nbytes / 2
    multiply = Mock(side_effect=halves.Halves.multiply)
    monkeypatch.setattr(halves.Halves, "multiply", lambda *given: multiply(*given))
    states = torch.randn(*rows, sides[0])
    wanted = functional.linear(states, one.weight, one.bias)
    assert torch.allclose(product(states, one), wanted, atol=1e-5, rtol=1e-5)
    multiply.assert_called_once()


def test_many_rows_and_training_take_the_weight_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    one, states = layer(), torch.randn(halves.MOST_ROWS, 24)
    halves.keep_halves(one, None)
    taken: list[int] = []
    monkeypatch.setattr(
        halves.Halves, "multiply", lambda self, states, bias: taken.append(len(states))
    )
    product(states, one)
    product(torch.randn(halves.MOST_ROWS + 1, 24), one)
    products.linear(states, one.weight, one.bias).sum().backward()
    assert taken == [halves.MOST_ROWS]
    assert one.weight.grad is not None


@pytest.mark.parametrize(
    ("value", "fits"), [(3e-8, True), (0.1, False), (1e5, False), (float("nan"), False)]
)
def test_a_weight_that_float16_does_not_hold_is_left_alone(value: float, fits: bool) -> None:
    """A value far below the others loses less than a sum of float32: that is no reason."""
    one = layer()
    one.weight.data[3, 5] = value
    assert bool(halves.keep_halves(one, None)) is fits


def test_bfloat16_of_a_layer_fits() -> None:
    """Later GLMs are published in it: with fewer digits, and exponents that layers do not use."""
    one = nn.Linear(512, 512)
    one.weight.data = nn.init.normal_(one.weight.data, std=0.02).bfloat16().float()
    assert halves.keep_halves(one, None)


@pytest.mark.parametrize("prompt", [2, 40])
@pytest.mark.parametrize("changed", [(slice(None), slice(None)), (slice(None), slice(1, None))])
def test_a_weight_that_was_changed_is_read_anew(prompt: int, changed: Any) -> None:
    """As peft does it, when it merges an adapter between two answers: nothing tells of it."""
    one, token = layer(), torch.randn(1, 24)
    halves.keep_halves(one, None)
    product(token, one)
    one.weight.data[changed] += 1
    product(torch.randn(prompt, 24), one)
    wanted = functional.linear(token, one.weight, one.bias)
    assert torch.allclose(product(token, one), wanted, atol=1e-5, rtol=1e-5)


def test_a_vector_is_left_to_torch() -> None:
    one, states = layer(), torch.randn(24)
    halves.keep_halves(one, None)
    wanted = functional.linear(states, one.weight, one.bias)
    assert torch.allclose(product(states, one), wanted, atol=1e-5, rtol=1e-5)


def test_they_go_with_their_weight() -> None:
    one = layer()
    halves.keep_halves(one, None)
    before = len(halves._HALVES)
    del one
    assert len(halves._HALVES) == before - 1


def test_nothing_is_made_where_it_is_not_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    one = layer()
    assert not halves.keep_halves(one, one.weight.nbytes // 2 - 1), "no room"
    assert not halves.keep_halves(layer().half(), None), "16 bits already"
    with monkeypatch.context() as other:
        other.setattr(halves, "LEAST", one.weight.nbytes + 1)
        assert not halves.keep_halves(one, None), "a processor keeps so little anyway"
    with monkeypatch.context() as other:
        other.setattr(halves, "MOST_A_THREAD", 1)
        assert not halves.keep_halves(one, None), "too long to wait for"
    with monkeypatch.context() as other:
        other.setenv("TUNEGLM_PRODUCTS", "torch")
        assert not halves.keep_halves(one, None), "somebody chose"
    with monkeypatch.context() as other:
        other.setattr(halves, "_KNOWN", {})
        other.setattr(halves, "_times_as_fast", lambda *_: 1.0)
        other.setenv("XDG_CACHE_HOME", "/dev/null/nowhere")
        assert not halves.keep_halves(one, None), "no faster"
    assert halves.keep_halves(one, None)


def test_what_was_measured_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(halves, "_times_as_fast", lambda rows, _: 2.0 if rows == 1 else 1.0)
    one = layer()
    halves.keep_halves(one, None)
    assert halves.halves_for(1, one.weight) is not None
    assert halves.halves_for(2, one.weight) is None
    kept = json.loads((tmp_path / "tuneglm" / "products.json").read_text("utf-8"))
    assert sorted(kept.values()) == [False, False, True]


def test_a_measurement_draws_no_random_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(halves, "TRIED", (64, 64))
    monkeypatch.setattr(halves, "LEAST", 2**16)
    before = torch.get_rng_state()
    tried = halves._tried()
    assert len(tried) == 4
    assert halves._times_as_fast(1, tried) > 0
    assert torch.equal(torch.get_rng_state(), before)


def test_a_model_answers_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """One conversation and two at once, by most of the model's weights."""
    asked = [[{"role": "user", "content": text}] for text in ("你是谁？", "What is a violin?")]
    greedy = ChatConfig(temperature=0, max_new_tokens=24)
    answers = []
    for name in ("torch", "auto"):
        monkeypatch.setenv("TUNEGLM_PRODUCTS", name)
        products.chosen.cache_clear()
        chat = ChatModel(MODEL_FOLDER, dtype="float32")
        taken: list[Any] = []
        multiply = halves.Halves.multiply
        with monkeypatch.context() as watched:
            watched.setattr(
                halves.Halves,
                "multiply",
                lambda *given: (taken.append(1), multiply(*given))[1],  # noqa: B023
            )
            one = [chat.reply(each, greedy) for each in asked]
        answers.append((one, chat.padded_replies(asked, greedy)))
        assert bool(taken) is (name == "auto")
    products.chosen.cache_clear()
    assert answers[0] == answers[1]
