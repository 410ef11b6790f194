"""Write the demo model as ChatGLM3 is published: its tensor names, its config, float16."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import GlmConfig, GlmForCausalLM

NAMES = (
    ("model.embed_tokens", "transformer.embedding.word_embeddings"),
    ("model.layers", "transformer.encoder.layers"),
    ("self_attn.o_proj", "self_attention.dense"),
    ("mlp.gate_up_proj", "mlp.dense_h_to_4h"),
    ("mlp.down_proj", "mlp.dense_4h_to_h"),
    ("model.norm", "transformer.encoder.final_layernorm"),
    ("lm_head", "transformer.output_layer"),
)


def save_model(model: GlmForCausalLM, folder: Path) -> None:
    """Write `config.json` and `model.safetensors`."""
    (folder / "config.json").write_text(
        json.dumps(published_config(model.config), indent=2) + "\n", encoding="utf-8"
    )
    weights = folder / "model.safetensors"
    save_file(published_weights(model), str(weights), metadata={"format": "pt"})
    weights.chmod(0o644)


def published_weights(model: GlmForCausalLM) -> dict[str, torch.Tensor]:
    """The weights under their published names, with q, k and v fused."""
    weights = {}
    for name, tensor in model.state_dict().items():
        if ".k_proj." in name or ".v_proj." in name:
            continue
        if ".q_proj." in name:
            parts = [
                model.state_dict()[name.replace("q_proj", part)]
                for part in ("q_proj", "k_proj", "v_proj")
            ]
            name, tensor = (
                name.replace("self_attn.q_proj", "self_attention.query_key_value"),
                torch.cat(parts),
            )
        for ours, published in NAMES:
            name = name.replace(ours, published)
        weights[name] = tensor.to(torch.float16).clone()
    weights["transformer.rotary_pos_emb.inv_freq"] = model.model.rotary_emb.inv_freq.to(
        torch.float16
    ).clone()
    return weights


def published_config(config: GlmConfig) -> dict[str, Any]:
    """ChatGLM3's keys with this model's values."""
    return {
        "_name_or_path": "tuneglm/demo-chatglm3",
        "model_type": "chatglm",
        "architectures": ["ChatGLMModel"],
        "padded_vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "num_layers": config.num_hidden_layers,
        "num_attention_heads": config.num_attention_heads,
        "kv_channels": config.head_dim,
        "ffn_hidden_size": config.intermediate_size,
        "multi_query_attention": True,
        "multi_query_group_num": config.num_key_value_heads,
        "seq_length": config.max_position_embeddings,
        "add_qkv_bias": True,
        "add_bias_linear": False,
        "apply_query_key_layer_scaling": True,
        "apply_residual_connection_post_layernorm": False,
        "attention_softmax_in_fp32": True,
        "attention_dropout": 0.0,
        "hidden_dropout": 0.0,
        "bias_dropout_fusion": True,
        "fp32_residual_connection": False,
        "layernorm_epsilon": config.rms_norm_eps,
        "post_layer_norm": True,
        "rmsnorm": True,
        "original_rope": True,
        "use_cache": True,
        "tie_word_embeddings": False,
        "pad_token_id": 0,
        "eos_token_id": 2,
        "torch_dtype": "float16",
    }
