"""Faster layers against the plain ones: values and gradients, in float32 within 1e-5."""

import copy
from collections.abc import Iterator
from typing import Any

import peft
import pytest
import torch
from torch import nn
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    Glm4Config,
    Glm4ForCausalLM,
    Glm4MoeConfig,
    Glm4MoeForCausalLM,
    GlmConfig,
    GlmForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
)

from tuneglm.models import fast, products
from tuneglm.models.chatglm.configuration_chatglm import ChatGLMConfig
from tuneglm.models.chatglm.modeling_chatglm import ChatGLMForConditionalGeneration
from tuneglm.models.fast import make_fast

SIZES: dict[str, Any] = {
    "vocab_size": 96,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "pad_token_id": 0,
}


def glm() -> Any:
    return GlmForCausalLM(GlmConfig(**SIZES, attention_bias=True))


def glm4() -> Any:
    return Glm4ForCausalLM(Glm4Config(**SIZES))


def glm4_moe() -> Any:
    """One layer as in the others, and one of experts, of which each token has two and a shared."""
    experts = {"moe_intermediate_size": 24, "n_routed_experts": 4, "num_experts_per_tok": 2}
    return Glm4MoeForCausalLM(Glm4MoeConfig(**SIZES, **experts, first_k_dense_replace=1))


def llama() -> Any:
    return LlamaForCausalLM(LlamaConfig(**SIZES))


def chatglm() -> Any:
    sizes = {"vocab_size": 96, "hidden_size": 32, "num_layers": 2, "num_attention_heads": 4}
    tokens = {"bos_token_id": 90, "eos_token_id": 91, "mask_token_id": 92, "gmask_token_id": 93}
    return ChatGLMForConditionalGeneration(
        ChatGLMConfig(**sizes, inner_hidden_size=64, **tokens)  # type: ignore[arg-type]
    )


MODELS = {"glm": glm, "glm4": glm4, "glm4_moe": glm4_moe, "llama": llama, "chatglm": chatglm}


@pytest.fixture(params=[True, False], ids=["onednn", "usual"], autouse=True)
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[bool]:
    """Either library, whatever this machine would choose."""
    if request.param and not torch.backends.mkldnn.is_available():
        pytest.skip("this torch has no oneDNN")
    monkeypatch.setattr(products, "by_onednn", lambda: request.param)
    yield request.param


def made(name: str, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    model = MODELS[name]()
    for weight in model.parameters():
        nn.init.normal_(weight, std=0.1, mean=float(weight.ndim == 1))
    return model


def adapted(model: Any) -> Any:
    config = peft.LoraConfig(
        task_type="CAUSAL_LM", r=4, lora_alpha=8, target_modules="all-linear", lora_dropout=0.0
    )
    model = peft.get_peft_model(model, config)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(weight, std=0.1)
    return model


def outcome(model: Any, autocast: bool = False) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Logits, and the gradients of what is trained."""
    draw = torch.Generator().manual_seed(1)
    ids = torch.randint(1, 90, (2, 20), generator=draw)
    ids[:, 5], ids[:, 6] = 93, 90  # where an answer of ChatGLM-6B's begins
    weight = torch.randn(2, 20, 96, generator=draw)
    model.train()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        logits = model(input_ids=ids, use_cache=False).logits
    (logits.float() * weight).sum().backward()
    return logits.detach(), {
        name: each.grad for name, each in model.named_parameters() if each.grad is not None
    }


def assert_same(model: Any) -> None:
    plain = copy.deepcopy(model)
    make_fast(model)
    assert_alike(outcome(model), outcome(plain), 1e-5)


def assert_alike(one: Any, other: Any, tolerance: float) -> None:
    (logits, gradients), (wanted, wanted_gradients) = one, other
    assert gradients.keys() == wanted_gradients.keys() != set()
    assert (logits - wanted).abs().max() <= tolerance * wanted.abs().max()
    for name, gradient in gradients.items():
        largest = wanted_gradients[name].abs().max()
        assert (gradient - wanted_gradients[name]).abs().max() <= tolerance * largest, name


@pytest.mark.parametrize("name", MODELS)
def test_a_whole_model(name: str) -> None:
    assert_same(made(name))


@pytest.mark.parametrize("name", MODELS)
def test_an_adapter(name: str) -> None:
    assert_same(adapted(made(name)))


@pytest.mark.parametrize("name", MODELS)
def test_an_adapter_computed_in_bfloat16_is_no_further_from_float32(name: str) -> None:
    model = adapted(made(name))
    plain, wide = copy.deepcopy(model), copy.deepcopy(model)
    make_fast(model)
    exact = _together(outcome(wide))
    error, usual = (
        (_together(outcome(each, autocast=True)) - exact).norm() for each in (model, plain)
    )
    assert 0 < error < 1.2 * usual < 0.1 * exact.norm()


def _together(result: Any) -> torch.Tensor:
    return torch.cat([each.flatten() for _, each in sorted(result[1].items())])


@pytest.mark.parametrize("name", MODELS)
def test_the_base_beneath_an_adapter(name: str) -> None:
    model = adapted(made(name))
    make_fast(model)
    with torch.no_grad(), model.disable_adapter():
        logits = model(input_ids=torch.arange(1, 60)[None], position_ids=_positions(name)).logits
    plain = made(name)(input_ids=torch.arange(1, 60)[None], position_ids=_positions(name)).logits
    assert torch.allclose(logits, plain, atol=1e-4, rtol=1e-4)


def _positions(name: str) -> torch.Tensor:
    positions = torch.arange(59)[None]
    return torch.stack((positions, positions), dim=1) if name == "chatglm" else positions


def test_checkpointing_changes_nothing() -> None:
    model = adapted(made("glm"))
    plain = copy.deepcopy(model)
    make_fast(model)
    model.enable_input_require_grads()
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    assert_alike(outcome(model), outcome(plain), 1e-5)


def test_what_is_put_in_the_place_of_what() -> None:
    model = adapted(made("glm4"))
    make_fast(model)
    changed = [module for module in model.modules() if "forward" in vars(module)]
    names = {(type(each).__name__, each.forward.__func__.__name__) for each in changed}
    assert names == {
        ("Linear", "_lora_forward"),
        ("Linear", "_linear_forward"),
        ("Glm4RMSNorm", "_norm_forward"),
        ("Glm4MLP", "_fused_forward"),
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"use_dora": True},
        {"lora_dropout": 0.5},
        {"lora_bias": True},
        # trains what the plain case has frozen
        {"bias": "all"},
    ],
)
def test_other_kinds_of_adapter_stay_peft_s(changes: dict[str, Any]) -> None:
    config = {"task_type": "CAUSAL_LM", "r": 4, "target_modules": ["q_proj"], **changes}
    model: Any = peft.get_peft_model(made("glm"), peft.LoraConfig(**config))
    plain = copy.deepcopy(model)
    make_fast(model)
    torch.manual_seed(3)
    logits, gradients = outcome(model)
    torch.manual_seed(3)
    wanted, of_plain = outcome(plain)
    assert torch.allclose(logits, wanted, atol=1e-5, rtol=1e-5)
    assert gradients.keys() == of_plain.keys()
    for name, gradient in gradients.items():
        assert torch.allclose(gradient, of_plain[name], atol=1e-4, rtol=1e-4), name


class Shifted(nn.Module):
    """A norm that multiplies by 1 + w, as Gemma's."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(size))
        self.variance_epsilon = eps

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        inverse = (states.square().mean(-1, keepdim=True) + self.variance_epsilon).rsqrt()
        return (1 + self.weight) * states * inverse


def test_a_norm_of_another_kind_is_left_alone() -> None:
    assert not fast.is_rms_norm(Shifted)
    module = Shifted(4, 0.1)
    make_fast(module)
    assert "forward" not in vars(module)


def test_a_gated_mlp_with_another_activation_is_left_alone() -> None:
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**SIZES, hidden_act="gelu"))
    make_fast(model)
    assert all("forward" not in vars(layer.mlp) for layer in model.model.layers)


def test_each_activation_is_tried_whatever_a_config_calls_it() -> None:
    """Gemma's is `hidden_activation`."""
    for activation, is_known in (("silu", True), ("gelu_pytorch_tanh", False)):
        torch.manual_seed(0)
        model = Gemma2ForCausalLM(Gemma2Config(**SIZES, hidden_activation=activation))
        make_fast(model)
        assert all(("forward" in vars(layer.mlp)) == is_known for layer in model.model.layers)
