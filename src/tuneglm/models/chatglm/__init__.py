"""ChatGLM-6B: its network, its tokenizer, its prompt and its weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from tuneglm.models.chatglm.convert import LAYOUT
from tuneglm.models.chatglm.modeling_chatglm import place_rows
from tuneglm.models.chatglm.prompt import end_tokens, render
from tuneglm.models.chatglm.tokenization_chatglm import load_tokenizer
from tuneglm.models.family import Family

ADAPTER_TARGETS = ("query_key_value",)
MODULE_NAMES = {
    **dict.fromkeys(("q_proj", "k_proj", "v_proj"), "query_key_value"),
    "o_proj": "dense",
    "gate_up_proj": "dense_h_to_4h",
    "down_proj": "dense_4h_to_h",
}


def recognises(folder: Path, config: Mapping[str, Any]) -> bool:
    """Whether the config is of ChatGLM-6B's own network."""
    return config.get("model_type") == "chatglm" and "inner_hidden_size" in config


CHATGLM = Family(
    name="chatglm",
    recognises=recognises,
    load_tokenizer=load_tokenizer,
    render=render,
    layout=LAYOUT,
    adapter_targets=lambda config: ADAPTER_TARGETS,
    end_tokens=end_tokens,
    answers_per_row="one",
    module_names=MODULE_NAMES,
    place_rows=place_rows,
    derives_positions=True,
    # each token has two; the second is 0 in the context
    context_positions=lambda places: torch.stack((places, torch.zeros_like(places)))[None],
)
