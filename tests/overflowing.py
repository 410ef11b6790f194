"""Small models written with numbers so large that float16 cannot hold what they compute.

In float32 they compute what they did before: a network whose every block begins with
a norm does not feel by how much its states are multiplied. Only a gate that was
multiplied is open or closed, and seldom between.
"""

import math
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import Glm4Config, Glm4ForCausalLM

from tests.methods.cells import base_of, load
from tuneglm.models import family_named
from tuneglm.models.published import save_published

LARGEST = torch.finfo(torch.float16).max
# of chatglm's norms, whose weights are about 1
MAGNIFIED = 2.0**15
# what a gate and its other half are multiplied by
GATED = 2.0**13
# a norm after a block, as GLM-4-0414 has it, forgets how large the block's output was
AFTER = ("post_self_attn_layernorm", "post_mlp_layernorm")


def overflowing(family: str, folder: Path) -> Path:
    """The folder of such a model; `glm4_0414` is one that transformers knows by itself."""
    base = folder / "overflowing"
    if family == "glm4_0414":
        torch.manual_seed(0)
        model: Any = Glm4ForCausalLM(_glm4_0414())
    else:
        model = load(base_of(family, folder), family)
    with torch.no_grad():
        (_magnify_chatglm if family == "chatglm" else _magnify)(model)
    assert all(each.abs().max() <= LARGEST for each in model.parameters())
    layout = None if family == "glm4_0414" else family_named(family).layout
    if layout is None:
        model.save_pretrained(base)
    else:
        save_published(model, layout, base)
    return base


def _glm4_0414() -> Glm4Config:
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 3}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16}
    return Glm4Config(vocab_size=512, **sizes, **heads, pad_token_id=3)


def _magnify(model: Any) -> None:
    """What an MLP computes inside, and what blocks hand on, as far as the weights allow."""
    is_sandwiched = hasattr(model.model.layers[0], AFTER[0])
    outward = ("embed_tokens", *(AFTER if is_sandwiched else ("o_proj",)))
    handed_on = [module.weight for name in outward for module in _named(model, name)]
    power = _room(handed_on)
    for weight in handed_on:
        weight *= power
    for name in ("gate_up_proj", "gate_proj", "up_proj"):
        for module in _named(model, name):
            module.weight *= GATED
    for module in () if is_sandwiched else _named(model, "down_proj"):
        module.weight *= power / GATED**2


def _named(model: nn.Module, end: str) -> list[Any]:
    return [each for name, each in model.named_modules() if name.rpartition(".")[2] == end]


def _room(weights: list[torch.Tensor]) -> float:
    """The largest power of two by which all of them stay below what float16 can hold."""
    largest = max(float(each.abs().max()) for each in weights)
    return 2.0 ** math.floor(math.log2(LARGEST / largest))


def _magnify_chatglm(model: Any) -> None:
    """What its norms hand on too: its blocks carry on the normed states."""
    for layer in model.transformer.layers:
        for module in (layer.input_layernorm, layer.post_attention_layernorm):
            _multiply(module, MAGNIFIED, MAGNIFIED)
        for module in (layer.attention.dense, layer.mlp.dense_4h_to_h):
            _multiply(module, MAGNIFIED, MAGNIFIED)
        for module in (layer.attention.query_key_value, layer.mlp.dense_h_to_4h):
            _multiply(module, 1 / MAGNIFIED, 1)


def _multiply(module: nn.Module, weight: float, bias: float) -> None:
    module.weight.mul_(weight)  # type: ignore[operator]
    module.bias.mul_(bias)  # type: ignore[operator]
