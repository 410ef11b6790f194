"""float16 that does not overflow: where naive float16 gives NaN, ours trains as float32 does."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.methods.cells import (
    FAMILIES,
    GOLDEN,
    IDS,
    LABELS,
    MASK,
    base_of,
    inputs,
    load,
    logits,
    tuned,
)
from tests.methods.test_matrix import SETTINGS
from tests.overflowing import MAGNIFIED, overflowing
from tuneglm.methods import METHODS
from tuneglm.methods.tuned import Tuned
from tuneglm.models.float16 import compute_in_float16
from tuneglm.models.packed import PackedLinear
from tuneglm.models.weights import input_weight

# GLM-4-0414, whose blocks end in norms, comes as a model of transformers'
MODELS = (*FAMILIES, "glm4_0414")


def family_of(name: str) -> str:
    return "native" if name == "glm4_0414" else name


def losses(made: Tuned, rate: float, steps: int = 4) -> list[float]:
    """Of some steps of AdamW on one batch, with the loss scaled as accelerate does it."""
    model = made.model.train()
    optimizer = torch.optim.AdamW([each for each in model.parameters() if each.requires_grad], rate)
    scaler = torch.amp.GradScaler("cpu")
    course = []
    for _ in range(steps):
        loss = model(**inputs(), labels=LABELS).loss
        course.append(loss.item())
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
    return course


def in_float16(folder: Path, family: str, method: str, *settings: str, **options: Any) -> Tuned:
    made = tuned(folder, family, method, *settings, dtype="float16", **options)
    compute_in_float16(made.model)
    return made


@pytest.mark.parametrize("name", MODELS)
def test_naive_float16_overflows_and_ours_does_not(name: str, tmp_path: Path) -> None:
    folder, family = overflowing(name, tmp_path), family_of(name)
    exact = load(folder, family)
    whole = logits(exact)
    assert whole.isfinite().all()
    assert not logits(copy.deepcopy(exact).half()).isfinite().any()
    with torch.autocast("cpu", torch.float16):
        assert not logits(exact).isfinite().any()
    ours = load(folder, family, dtype="float16")
    assert (logits(ours) - whole).abs().max() < 2e-3 * whole.abs().max()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", MODELS)
def test_it_trains_as_float32_does(name: str, method: str, tmp_path: Path) -> None:
    folder, family = overflowing(name, tmp_path), family_of(name)
    settings, rate = SETTINGS[method]
    if name == "chatglm" and method not in ("p_tuning", "prompt"):
        # its layers take magnified states in: what a weight changes is magnified with them
        rate /= MAGNIFIED
    if method == "prompt":
        # soft tokens are as large as the others
        rate *= 2 * input_weight(load(folder, family)).std().item()
    expected = losses(tuned(folder, family, method, *settings), rate)
    ours = losses(in_float16(folder, family, method, *settings), rate)
    assert expected[-1] < expected[0]
    assert ours == pytest.approx(expected, rel=1e-2)


@pytest.mark.parametrize("name", MODELS)
def test_checkpointing_changes_nothing(name: str, tmp_path: Path) -> None:
    folder, family = overflowing(name, tmp_path), family_of(name)
    made = [in_float16(folder, family, "lora", "method.rank=4") for _ in range(2)]
    made[1].model.gradient_checkpointing_enable({"use_reentrant": False})
    assert losses(made[1], 1e-3) == losses(made[0], 1e-3)


@pytest.mark.parametrize("width", [8, 4, "int8", "int4"])
def test_packed_weights(width: Any, tmp_path: Path) -> None:
    if isinstance(width, str):
        folder, options = GOLDEN / "v1" / width, dict[str, Any]()
    else:
        pytest.importorskip("bitsandbytes")
        folder, options = base_of("chatglm", tmp_path, wide=True), {"bits": width}
    settings, rate = SETTINGS["lora"]
    expected = losses(tuned(folder, "chatglm", "lora", *settings, **options), rate)
    made = in_float16(folder, "chatglm", "lora", *settings, **options)
    # eight bits of bitsandbytes round the states too, where they multiply by themselves
    close = 2e-2 if width == 8 else 2e-3
    assert losses(made, rate) == pytest.approx(expected, rel=close)


@pytest.mark.parametrize("name", MODELS)
def test_an_answer_goes_on_from_its_cache(name: str, tmp_path: Path) -> None:
    folder, family = overflowing(name, tmp_path), family_of(name)
    fixed = {"max_new_tokens": 6, "min_new_tokens": 6, "do_sample": False, "pad_token_id": 3}
    given = {"input_ids": IDS[:, :6], "attention_mask": MASK[:, :6]}
    if family == "chatglm":
        given = inputs()
    answers = [load(folder, family).generate(**given, **fixed)]
    ours = load(folder, family, dtype="float16")
    answers += [ours.generate(**given, **fixed), ours.generate(**given, **fixed, use_cache=False)]
    assert torch.equal(answers[0], answers[1])
    assert torch.equal(answers[0], answers[2])


def test_eager_attention_keeps_its_scores(tmp_path: Path) -> None:
    model = load(base_of("native", tmp_path), "native", attention="eager")
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.q_proj.weight *= 1000
            layer.self_attn.k_proj.weight *= 1000
    whole = logits(model)
    assert not logits(copy.deepcopy(model).half()).isfinite().all()
    compute_in_float16(model.half())
    assert logits(model).isfinite().all()
    assert whole.isfinite().all()


def test_weights_stay_as_they_are_and_are_saved_so(tmp_path: Path) -> None:
    folder = base_of("glm4", tmp_path)
    model = load(folder, "glm4", dtype="float16")
    logits(model)
    assert {each.dtype for each in model.parameters()} == {torch.float16}
    model.save_pretrained(tmp_path / "saved")
    again = load(tmp_path / "saved", "glm4", dtype="float16")
    assert torch.equal(logits(again), logits(model))


# one linear layer


def layer(trained: bool) -> nn.Linear:
    torch.manual_seed(0)
    made = nn.Linear(48, 64)
    if not trained:
        made.half().requires_grad_(False)
    return made


def product(made: nn.Linear, states: torch.Tensor, gradient: torch.Tensor) -> list[Any]:
    """Output, and gradients of states, weight and bias."""
    states = states.clone().requires_grad_()
    output = made(states)
    output.backward(gradient)
    return [output.detach(), states.grad, made.weight.grad, made.bias.grad]


@pytest.mark.parametrize("trained", [True, False])
@pytest.mark.parametrize("size", [1e-9, 1.0, 1e9])
def test_a_linear_layer_whatever_the_size(trained: bool, size: float) -> None:
    states, gradient = size * torch.randn(2, 5, 48), 1 / size * torch.randn(2, 5, 64)
    # each row of a batch has a power of its own
    states[0, 0] *= 1e6
    gradient[1, 2] *= 1e6
    expected = product(layer(trained).float(), states, gradient)
    ours = layer(trained)
    holder = nn.Sequential(nn.Embedding(1, 1), ours)
    holder.get_input_embeddings = lambda: holder[0]  # type: ignore[assignment]
    holder.get_output_embeddings = lambda: ours  # type: ignore[assignment]
    compute_in_float16(holder)
    for got, wanted in zip(product(ours, states, gradient), expected, strict=True):
        if wanted is None:
            assert got is None
            continue
        assert got.dtype == torch.float32
        row = wanted.norm(dim=-1, keepdim=True)
        assert ((got - wanted).abs() <= 2e-3 * row).all()


def test_what_packed_layers_multiply_is_theirs() -> None:
    packed = PackedLinear.of(layer(False), 4)
    whole = packed.dequantized(torch.float32)
    states = torch.randn(3, 48)
    torch.testing.assert_close(packed(states), whole(states), atol=1e-4, rtol=1e-4)
