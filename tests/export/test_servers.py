"""What vLLM's and SGLang's loaders look for, as a table: names of weights, keys of config.json.

`GlmForCausalLM` there is a Llama with a partial rotation and one matrix for gate and up;
`ChatGLMModel` reads the published names.
"""

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tuneglm.demo import MODEL_FOLDER
from tuneglm.export import Export, export

LAYER = {
    "native": {
        **{f"self_attn.{it}_proj.weight": 2 for it in "qkvo"},
        **{f"self_attn.{it}_proj.bias": 1 for it in "qkv"},
        "mlp.gate_up_proj.weight": 2,
        "mlp.down_proj.weight": 2,
        "input_layernorm.weight": 1,
        "post_attention_layernorm.weight": 1,
    },
    "published": {
        "self_attention.query_key_value.weight": 2,
        "self_attention.query_key_value.bias": 1,
        "self_attention.dense.weight": 2,
        "mlp.dense_h_to_4h.weight": 2,
        "mlp.dense_4h_to_h.weight": 2,
        "input_layernorm.weight": 1,
        "post_attention_layernorm.weight": 1,
    },
}
OTHERS = {
    "native": {"model.embed_tokens.weight": 2, "model.norm.weight": 1, "lm_head.weight": 2},
    "published": {
        "transformer.embedding.word_embeddings.weight": 2,
        "transformer.encoder.final_layernorm.weight": 1,
        "transformer.output_layer.weight": 2,
    },
}
LAYERS = {"native": "model.layers", "published": "transformer.encoder.layers"}
ARCHITECTURE = {"native": "GlmForCausalLM", "published": "ChatGLMModel"}
KEYS = {
    "native": {
        "architectures": list,
        "hidden_size": int,
        "intermediate_size": int,
        "num_hidden_layers": int,
        "num_attention_heads": int,
        "num_key_value_heads": int,
        "head_dim": int,
        "hidden_act": str,
        "rms_norm_eps": float,
        "attention_bias": bool,
        "max_position_embeddings": int,
        "vocab_size": int,
        "tie_word_embeddings": bool,
        "rope_parameters": dict,
        # of versions before transformers 5
        "rope_theta": float,
        "partial_rotary_factor": float,
    },
    "published": {
        "architectures": list,
        "num_layers": int,
        "padded_vocab_size": int,
        "hidden_size": int,
        "ffn_hidden_size": int,
        "kv_channels": int,
        "num_attention_heads": int,
        "seq_length": int,
        "layernorm_epsilon": float,
        "rmsnorm": bool,
        "apply_residual_connection_post_layernorm": bool,
        "post_layer_norm": bool,
        "add_bias_linear": bool,
        "add_qkv_bias": bool,
        "fp32_residual_connection": bool,
        "multi_query_attention": bool,
        "multi_query_group_num": int,
        "original_rope": bool,
    },
}


@pytest.mark.parametrize("layout", ["native", "published"])
def test_names_and_keys_are_those_that_servers_look_for(layout: str, tmp_path: Path) -> None:
    wanted = Export(str(MODEL_FOLDER), tmp_path / "out", layout=layout)  # type: ignore[arg-type]
    folder = export(wanted).folder
    config = json.loads((folder / "config.json").read_text())
    assert config["architectures"] == [ARCHITECTURE[layout]]
    for key, kind in KEYS[layout].items():
        assert type(config[key]) is kind, key
    count = config["num_hidden_layers" if layout == "native" else "num_layers"]
    expected = dict(OTHERS[layout])
    for layer in range(count):
        expected |= {f"{LAYERS[layout]}.{layer}.{name}": n for name, n in LAYER[layout].items()}
    weights = load_file(folder / "model.safetensors")
    assert {name: each.ndim for name, each in weights.items()} == expected
    if layout == "native":
        # gate above up, each as wide as the middle of the MLP
        rows = weights["model.layers.0.mlp.gate_up_proj.weight"].shape[0]
        assert rows == 2 * config["intermediate_size"]
        assert config["rope_parameters"]["rope_theta"] == config["rope_theta"]
