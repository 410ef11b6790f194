"""A conversation's renderer and vocabulary without a network: of the demo, of GLM-4, byte-level."""

from functools import cache
from typing import Any

from tokenizers import Tokenizer, decoders, pre_tokenizers, trainers
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast

from tests.published import tokenizer_folder
from tuneglm.demo import model_folders
from tuneglm.generate import ChatModel
from tuneglm.models import family_named
from tuneglm.models.loading import load_tokenizer

SPECIALS = ["<|end|>", "<|user|>", "<|assistant|>", "<|system|>", "<|tool|>"]
TEXTS = [
    "Who are you? hello world, the end",
    "weather of a city 1 + 2 = 3",
    '{"name": "arguments"}',
] * 9
TEMPLATE = """\
{%- if tools -%}<|system|>{{ tools | tojson }}{%- endif -%}
{%- for message in messages -%}
<|{{ message.role }}|>{{ message.content or '' }}
{%- for call in message.tool_calls or [] -%}
<tool_call>{"name": "{{ call.function.name }}",
 {#- #} "arguments": {{ call.function.arguments | tojson }}}</tool_call>
{%- endfor -%}
{%- if message.role == 'assistant' -%}<|end|>{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}<|assistant|>{%- endif -%}
"""
NAMES = ("chatglm", "chatglm3", "glm4", "byte-level")


@cache
def talking(name: str) -> ChatModel:
    """All of a ChatModel but its network; skips the test where a published file is missing."""
    if name == "byte-level":
        return ChatModel.around(None, _byte_level(), family_named("native"))
    folder = tokenizer_folder(name) if name == "glm4" else model_folders()[name]
    return ChatModel.around(None, load_tokenizer(folder, family=name), family_named(name))


def _byte_level() -> Any:
    trained = Tokenizer(BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trained.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=420, initial_alphabet=alphabet, show_progress=False)
    trained.train_from_iterator(TEXTS, trainer)
    options: Any = {"additional_special_tokens": SPECIALS, "eos_token": "<|end|>"}
    made = PreTrainedTokenizerFast(tokenizer_object=trained, **options)
    made.chat_template = TEMPLATE
    return made
