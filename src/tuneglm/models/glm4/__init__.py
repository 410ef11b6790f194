"""GLM-4 in its published layout: its tokenizer, its prompt and its weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tuneglm.models import chatglm2
from tuneglm.models.family import Family
from tuneglm.models.glm4.convert import LAYOUT
from tuneglm.models.glm4.prompt import end_tokens, read_answer, render
from tuneglm.models.glm4.tokenization import EOS, load_tokenizer
from tuneglm.models.llama_cpp import byte_vocabulary
from tuneglm.models.tokenization import is_named_in_tokenizer_files

SENTENCEPIECE_START = b"\n"  # the tag of a protocol buffer's first field


def recognises(folder: Path, config: Mapping[str, Any]) -> bool:
    """Whether it is ChatGLM2's layout with a vocabulary of tiktoken's."""
    if not chatglm2.recognises(folder, config):
        return False
    vocabulary = folder / "tokenizer.model"
    if not vocabulary.is_file():
        return "rope_ratio" in config and is_named_in_tokenizer_files(EOS, folder)
    with vocabulary.open("rb") as file:
        return file.read(1) != SENTENCEPIECE_START


GLM4 = Family(
    name="glm4",
    recognises=recognises,
    load_tokenizer=load_tokenizer,
    render=render,
    layout=LAYOUT,
    llama_cpp=byte_vocabulary,
    adapter_targets=lambda config: chatglm2.ADAPTER_TARGETS,
    end_tokens=end_tokens,
    read_answer=read_answer,
)
