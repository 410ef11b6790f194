"""Who is asked for a kernel, what is done without one, and Triton's own interpreter on each."""

import copy
import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers.models.cohere import modeling_cohere
from transformers.models.glm import modeling_glm
from transformers.models.llama import modeling_llama

from tests.models.test_fast import assert_alike, made, outcome
from tuneglm.models import fast, kernels, rotary
from tuneglm.models.chatglm import modeling_chatglm
from tuneglm.models.rotary import Form

CASES = Path(__file__).with_name("interpreted_kernels.py")
FILES = {
    modeling_glm: Form(None, is_shared=True),
    modeling_llama: Form(1, is_shared=False, is_whole=True),
    modeling_chatglm: Form(2, is_shared=False, is_whole=True),
}
MODELS = pytest.mark.parametrize("name", ["glm", "glm4", "llama", "chatglm"])


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="needs triton")
def test_each_kernel_by_triton_s_interpreter() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", str(CASES)]
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-5000:]


@pytest.fixture
def at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that believes to have kernels, and that takes these states' for a GPU's."""
    monkeypatch.setattr(kernels, "_state", {"works": True})
    monkeypatch.setattr(kernels, "are_at_hand", lambda: True)
    monkeypatch.setattr(kernels, "take", lambda states: kernels._state["works"])


def test_nothing_on_a_processor_is_taken_by_a_kernel() -> None:
    states, weight = torch.ones(2, 4), torch.ones(4)
    assert not kernels.take(states)
    assert kernels.norm(states, weight, 1e-5) is None
    assert kernels.norm_back(states, states, weight, states[:, :1], True) is None
    assert kernels.gated(states, states) is None
    assert not kernels.gated_back(states, states, states, states, states)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.__name__.split("_")[-1])
def test_the_form_of_a_rotation_is_found(file: Any) -> None:
    turn, form = file.apply_rotary_pos_emb, FILES[file]
    assert rotary.form_of(turn) == form
    draw = torch.Generator().manual_seed(0)
    shapes = [(2, 4, 3, 24), (2, 2, 3, 24)] + 2 * [(1, 3, 24 if form.is_whole else 12)]
    given = [torch.randn(shape, generator=draw) for shape in shapes]
    query, key, cos, sin = given
    results = []
    for each in (turn, lambda *given: rotary._Turn.apply(*given, form)):
        leaves = [query.clone().requires_grad_(), key.clone().requires_grad_()]
        outputs = each(*leaves, cos, sin)
        results.append((*outputs, *torch.autograd.grad(outputs, leaves, (query + 1, key + 1))))
    for one, other in zip(*results, strict=True):
        assert torch.allclose(one, other, atol=1e-5, rtol=1e-5)


def test_a_rotation_that_rounds_elsewhere_is_left_alone() -> None:
    assert rotary.form_of(modeling_cohere.apply_rotary_pos_emb) is None
    assert rotary.turned_forward(modeling_cohere.CohereAttention) is None
    assert rotary.turned_forward(torch.nn.Linear) is None


@MODELS
def test_rotations_are_replaced_where_kernels_are_at_hand(
    monkeypatch: pytest.MonkeyPatch, at_hand: None, name: str
) -> None:
    """No kernel takes anything: what is computed by torch is the same."""
    turned: list[torch.Size] = []
    model = made(name)
    plain = copy.deepcopy(model)

    def turn(query: torch.Tensor, *_: Any) -> None:
        turned.append(query.shape)

    for kernel in ("norm", "norm_back", "gated"):
        monkeypatch.setattr(kernels, kernel, lambda *_: None)
    monkeypatch.setattr(kernels, "gated_back", lambda *_: False)
    monkeypatch.setattr(kernels, "turn", turn)
    fast.make_fast(model)
    turned.clear()  # of what was tried
    assert_alike(outcome(model), outcome(plain), 1e-5)
    assert turned == 4 * [torch.Size((2, 4, 20, 8))]  # of two layers, forward and back


@MODELS
def test_rotations_stay_where_none_are(name: str) -> None:
    model = made(name)
    fast.make_fast(model)
    attention = [each for each in model.modules() if type(each).__name__.endswith("Attention")]
    assert attention and all("forward" not in vars(each) for each in attention)


def test_a_replaced_attention_can_be_compiled() -> None:
    model = made("glm").requires_grad_(False)
    ids = torch.arange(1, 9)[None]
    wanted = model(input_ids=ids, use_cache=False).logits
    for layer in model.model.layers:
        forward = rotary.turned_forward(type(layer.self_attn)).__get__(layer.self_attn)
        layer.self_attn.forward = torch.compile(forward, backend="eager", fullgraph=True)
    assert torch.allclose(model(input_ids=ids, use_cache=False).logits, wanted, atol=1e-5)


@pytest.mark.parametrize("is_forward", [True, False], ids=["forward", "back"])
def test_a_kernel_that_cannot_be_launched_is_replaced_by_torch(
    monkeypatch: pytest.MonkeyPatch, at_hand: None, is_forward: bool
) -> None:
    def kernel(name: str) -> Any:
        raise RuntimeError("no compiler")

    model = made("llama")
    plain = copy.deepcopy(model)
    fast.make_fast(model)
    if not is_forward:
        monkeypatch.setattr(kernels, "_launch", _launched_forward(kernels._launch))
    monkeypatch.setattr(kernels, "_kernel", kernel)
    with pytest.warns(UserWarning, match="no compiler") as said:
        found = outcome(model)
    assert len(said) == 1
    assert_alike(found, outcome(plain), 1e-5)


def _launched_forward(own: Callable[..., bool]) -> Callable[..., bool]:
    """Norms forward as their kernel would have them; nothing else can be launched."""

    def launch(name: str, grid: Any, given: tuple[Any, ...], *warps: int) -> bool:
        if name != "norm":
            return own(name, grid, given, *warps) if name == "norm_back" else False
        states, weight, output, inverse, *_, epsilon, _, _, _ = given
        inverse.view(-1).copy_(states.square().mean(-1).add(epsilon).rsqrt())
        output.view(states.shape).copy_(weight * states * inverse.view(-1, 1))
        return True

    return launch
