"""ChatGLM2: its tokenizer, its prompt and its weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tuneglm.models.chatglm2.convert import LAYOUT
from tuneglm.models.chatglm2.prompt import end_tokens, render
from tuneglm.models.chatglm2.tokenization import load_tokenizer
from tuneglm.models.family import Family
from tuneglm.models.llama_cpp import sentencepiece_vocabulary
from tuneglm.models.prefix import prefix_sizes

# in the shared network the three projections of an attention are modules of their own
ADAPTER_TARGETS = ("q_proj", "k_proj", "v_proj")


def recognises(folder: Path, config: Mapping[str, Any]) -> bool:
    """Whether the config is of the layout that ChatGLM2, ChatGLM3 and GLM-4 published."""
    return config.get("model_type") == "chatglm" and "ffn_hidden_size" in config


def prefix_width(config: Any) -> int:
    """The published scripts give a prefix's embeddings the width of what they become."""
    layers, kinds, heads, size = prefix_sizes(config)
    return layers * kinds * heads * size


CHATGLM2 = Family(
    name="chatglm2",
    recognises=recognises,
    load_tokenizer=load_tokenizer,
    render=render,
    layout=LAYOUT,
    llama_cpp=sentencepiece_vocabulary,
    adapter_targets=lambda config: ADAPTER_TARGETS,
    end_tokens=end_tokens,
    answers_per_row="one",
    prefix_width=prefix_width,
)
