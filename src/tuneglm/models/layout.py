"""From published names to transformers' and back: weights, configs, the shared network.

ChatGLM2, ChatGLM3 and GLM-4 published one network under one set of names; it is
transformers' `GlmForCausalLM`. What differs between them (the meaning of
`rope_ratio`) stands in each family's `convert.py`.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import GlmConfig, PreTrainedConfig

from tuneglm.errors import ModelError
from tuneglm.models.family import Family, Layout

MODULES = {
    "transformer.embedding.word_embeddings": "model.embed_tokens",
    "transformer.encoder.layers.*.input_layernorm": "model.layers.*.input_layernorm",
    "transformer.encoder.layers.*.self_attention.dense": "model.layers.*.self_attn.o_proj",
    "transformer.encoder.layers.*.post_attention_layernorm": (
        "model.layers.*.post_attention_layernorm"
    ),
    "transformer.encoder.layers.*.mlp.dense_h_to_4h": "model.layers.*.mlp.gate_up_proj",
    "transformer.encoder.layers.*.mlp.dense_4h_to_h": "model.layers.*.mlp.down_proj",
    "transformer.encoder.final_layernorm": "model.norm",
    "transformer.output_layer": "lm_head",
    "transformer.prefix_encoder.embedding": "model.prefix_encoder.embedding",
    "transformer.prefix_encoder.trans.0": "model.prefix_encoder.trans.0",
    "transformer.prefix_encoder.trans.2": "model.prefix_encoder.trans.2",
}
FUSED = {
    "transformer.encoder.layers.*.self_attention.query_key_value": (
        "model.layers.*.self_attn.q_proj",
        "model.layers.*.self_attn.k_proj",
        "model.layers.*.self_attn.v_proj",
    ),
}
# published key → value without which the network would be another one
FIXED = {
    "add_bias_linear": False,
    "rmsnorm": True,
    "post_layer_norm": True,
    "apply_residual_connection_post_layernorm": False,
    "original_rope": True,
    "hidden_dropout": 0.0,
}
# published key → the native config's
CONFIG_KEYS = {
    "padded_vocab_size": "vocab_size",
    "hidden_size": "hidden_size",
    "ffn_hidden_size": "intermediate_size",
    "num_layers": "num_hidden_layers",
    "num_attention_heads": "num_attention_heads",
    "kv_channels": "head_dim",
    "layernorm_epsilon": "rms_norm_eps",
    "seq_length": "max_position_embeddings",
    "attention_dropout": "attention_dropout",
}
ROPE_THETA = 10000.0
MODEL_TYPE = "chatglm"

_LAYER = re.compile(r"\.layers\.(\d+)\.")


def glm_layout(
    rope_parameters: Callable[[float], dict[str, Any]],
    rope_ratio: Callable[[Mapping[str, Any]], float],
) -> Layout:
    """The shared layout; the two functions are a family's meaning of `rope_ratio`, both ways."""
    return Layout(
        model_type=MODEL_TYPE,
        to_native_config=lambda published: _native_config(published, rope_parameters),
        to_published_config=lambda config: _published_config(config, rope_ratio),
        modules=MODULES,
        fused=FUSED,
        rows=_query_key_value_rows,
        ignored=("rotary_pos_emb.inv_freq",),
    )


def check_config(published: Mapping[str, Any], needed: Sequence[str]) -> None:
    """Raises ModelError where a published config.json lacks a size, or has one that is none."""
    for key in needed:
        value = published.get(key)
        if not isinstance(value, int | float) or value <= 0:
            problem = f"has `{key}: {value}`" if key in published else f"lacks `{key}`"
            raise ModelError(f"config.json {problem}.", "download config.json again")


def native_names(layout: Layout, published: str) -> tuple[str, ...]:
    """A published module's name → ours: several for a fused one, none if it is unknown."""
    pattern, layer = _split_layer(published)
    if pattern in layout.fused:
        return tuple(name.replace("*", layer) for name in layout.fused[pattern])
    if pattern in layout.modules:
        return (layout.modules[pattern].replace("*", layer),)
    return ()


def native_targets(layout: Layout, published: str) -> tuple[str, ...]:
    """The last part of a published module's name → of ours; none if it is unknown."""
    for module, ours in layout.fused.items() | {(a, (b,)) for a, b in layout.modules.items()}:
        if module.rpartition(".")[2] == published:
            return tuple(name.rpartition(".")[2] for name in ours)
    return ()


def own_names(family: Family, name: str) -> tuple[str, ...]:
    """What a module is called in a family's network, where people call it by another's word."""
    published = native_targets(family.layout, name) if family.layout is not None else ()
    return published or (family.module_names.get(name, name),)


def to_native(
    layout: Layout, config: PreTrainedConfig, key: str, tensor: torch.Tensor
) -> Iterator[tuple[str, torch.Tensor]]:
    """One published weight or bias → ours, as views; a fused one is split by rows.

    Raises KeyError for a name that the layout does not know.
    """
    module, _, leaf = key.rpartition(".")
    names = native_names(layout, module)
    if not names:
        raise KeyError(key)
    parts = tensor.split(layout.rows(config)) if len(names) > 1 else (tensor,)
    for name, part in zip(names, parts, strict=True):
        yield f"{name}.{leaf}", part


def to_published(
    layout: Layout, config: PreTrainedConfig, weights: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Our state dict → the published one, bit for bit what `to_native` was given."""
    modules = {ours: published for published, ours in layout.modules.items()}
    first_parts = {parts[0]: published for published, parts in layout.fused.items()}
    later_parts = {name for parts in layout.fused.values() for name in parts[1:]}
    result = {}
    for key, tensor in weights.items():
        module, _, leaf = key.rpartition(".")
        pattern, layer = _split_layer(module)
        if pattern in modules:
            result[f"{modules[pattern].replace('*', layer)}.{leaf}"] = tensor
        elif pattern in first_parts:
            fused = first_parts[pattern]
            names = [name.replace("*", layer) for name in layout.fused[fused]]
            parts = [weights[f"{name}.{leaf}"] for name in names]
            result[f"{fused.replace('*', layer)}.{leaf}"] = torch.cat(parts)
        elif pattern not in later_parts:
            raise ModelError(f"`{key}` has no name in the published layout.")
    return result


def parts_alone(layout: Layout, weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Those of our weights that are parts of a fused one whose other parts are not there."""
    alone = {}
    for key, tensor in weights.items():
        module, _, leaf = key.rpartition(".")
        pattern, layer = _split_layer(module)
        for parts in layout.fused.values():
            wanted = {f"{name.replace('*', layer)}.{leaf}" for name in parts}
            if pattern in parts and not wanted <= weights.keys():
                alone[key] = tensor
    return alone


def _split_layer(module: str) -> tuple[str, str]:
    """`a.layers.7.b` → (`a.layers.*.b`, `7`)."""
    match = _LAYER.search(module)
    if match is None:
        return module, ""
    return f"{module[: match.start(1)]}*{module[match.end(1) :]}", match.group(1)


def _query_key_value_rows(config: PreTrainedConfig) -> tuple[int, ...]:
    shared = config.num_key_value_heads * config.head_dim
    return config.num_attention_heads * config.head_dim, shared, shared


def _native_config(
    published: Mapping[str, Any], rope_parameters: Callable[[float], dict[str, Any]]
) -> GlmConfig:
    for key, value in FIXED.items():
        if published.get(key, value) != value:
            raise ModelError(
                f"config.json has `{key}: {published[key]}`, which no published GLM has.",
                f"this network is known with `{key}: {value}` only",
            )
    heads = published.get("num_attention_heads")
    grouped = published.get("multi_query_attention", False)
    needed = [key for key in CONFIG_KEYS if key != "attention_dropout"]
    check_config(published, [*needed, *(["multi_query_group_num"] if grouped else [])])
    try:
        return _glm_config(published, rope_parameters, heads if not grouped else None)
    except (StrictDataclassError, TypeError, ValueError) as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise ModelError(
            f"config.json cannot be used: {reason}", "download config.json again"
        ) from None


def _glm_config(
    published: Mapping[str, Any],
    rope_parameters: Callable[[float], dict[str, Any]],
    heads: int | None,
) -> GlmConfig:
    return GlmConfig(
        **{ours: published[key] for key, ours in CONFIG_KEYS.items() if key in published},
        num_key_value_heads=heads or published["multi_query_group_num"],
        attention_bias=published.get("add_qkv_bias", False),
        rope_parameters={
            "partial_rotary_factor": 0.5,
            **rope_parameters(float(published.get("rope_ratio", 1))),
        },
        tie_word_embeddings=published.get("tie_word_embeddings", False),
        pad_token_id=published.get("pad_token_id"),
        eos_token_id=published.get("eos_token_id"),
    )


def _published_config(
    config: PreTrainedConfig, rope_ratio: Callable[[Mapping[str, Any]], float]
) -> dict[str, Any]:
    ratio = rope_ratio(config.rope_parameters)
    published = {key: getattr(config, ours) for key, ours in CONFIG_KEYS.items()} | {
        "model_type": MODEL_TYPE,
        "architectures": ["ChatGLMModel"],
        "multi_query_attention": config.num_key_value_heads != config.num_attention_heads,
        "multi_query_group_num": config.num_key_value_heads,
        "add_qkv_bias": config.attention_bias,
        "tie_word_embeddings": config.tie_word_embeddings,
        "pad_token_id": config.pad_token_id,
        "eos_token_id": config.eos_token_id,
        # read by the published code, without effect on the result
        "apply_query_key_layer_scaling": True,
        "attention_softmax_in_fp32": True,
        "bias_dropout_fusion": True,
        "fp32_residual_connection": False,
        "use_cache": True,
        **FIXED,
    }
    return published if ratio == 1 else published | {"rope_ratio": ratio}
