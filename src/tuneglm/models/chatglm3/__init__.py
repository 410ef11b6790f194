"""ChatGLM3: its tokenizer, its prompt and its weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tuneglm.models import chatglm2
from tuneglm.models.chatglm3.convert import LAYOUT
from tuneglm.models.chatglm3.prompt import end_tokens, read_answer, render
from tuneglm.models.chatglm3.tokenization import load_tokenizer
from tuneglm.models.family import Family
from tuneglm.models.llama_cpp import sentencepiece_vocabulary
from tuneglm.models.tokenization import is_named_in_tokenizer_files


def recognises(folder: Path, config: Mapping[str, Any]) -> bool:
    """Whether it is ChatGLM2's layout with a name or a role token of ChatGLM3's."""
    named = "chatglm3" in str(config.get("_name_or_path", "")).lower()
    return chatglm2.recognises(folder, config) and (
        named or is_named_in_tokenizer_files("<|user|>", folder)
    )


CHATGLM3 = Family(
    name="chatglm3",
    recognises=recognises,
    load_tokenizer=load_tokenizer,
    render=render,
    layout=LAYOUT,
    llama_cpp=sentencepiece_vocabulary,
    adapter_targets=lambda config: chatglm2.ADAPTER_TARGETS,
    end_tokens=end_tokens,
    read_answer=read_answer,
    prefix_width=chatglm2.prefix_width,
)
