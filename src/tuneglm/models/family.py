"""The Family record: the only way to ask about a family of models.

Each folder of `models/` makes one; whoever needs to know how a family differs
asks a field of this record, never its name.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from tuneglm.data.messages import Example, Rendered
from tuneglm.models.answers import ReadAnswer, read_text
from tuneglm.models.attention import PlaceRows, restarting
from tuneglm.models.llama_cpp import MakeVocabulary


class Render(Protocol):
    """Examples → ids with trained and special flags: THE prompt of a family.

    It serves training, evaluation, chat, API and web alike. With
    `generation_prompt` the rows end where the model has to go on (the last
    message is then not the assistant's). `tokenizer` is what the family's
    `load_tokenizer` returned. A message of the assistant is trained unless its
    `trained` is False; all that the model must produce after the prompt that
    inference sends is trained, with the token that ends the turn.
    """

    def __call__(
        self,
        tokenizer: Any,
        examples: Sequence[Example],
        *,
        generation_prompt: bool = False,
    ) -> list[Rendered]:
        """Render many rows in one call."""
        ...


def as_it_is(tokenizer: Any) -> None:
    """A tokenizer that is as ready for many rows as it will be."""


@dataclass(frozen=True)
class Layout:
    """How a published checkpoint names its modules, and the way to transformers' names and back.

    model_type           `model_type` in a published `config.json`
    to_native_config     a published `config.json` → the config of transformers' class
    to_published_config  the way back
    modules              published module → ours; `*` stands for a layer's number
    fused                published module → ours, into which it is split by rows
    rows                 config → rows of each part of a fused module
    ignored              ends of published keys that hold no weight of ours
    read                 (config, published key, tensor) → the tensor as this layout now has it
    """

    model_type: str
    to_native_config: Callable[[Mapping[str, Any]], PreTrainedConfig]
    to_published_config: Callable[[PreTrainedConfig], dict[str, Any]]
    modules: Mapping[str, str]
    fused: Mapping[str, tuple[str, ...]]
    rows: Callable[[PreTrainedConfig], tuple[int, ...]]
    ignored: tuple[str, ...] = ()
    read: Callable[[PreTrainedConfig, str, torch.Tensor], torch.Tensor] = lambda _, __, tensor: (
        tensor
    )


@dataclass(frozen=True)
class Family:
    """What tuneglm knows about one family of models.

    name             the word in `model.family`, the folder's name
    recognises       (folder, its config.json) → whether this is such a model
    load_tokenizer   folder → fast tokenizer
    render           see `Render`
    layout           published layout, or None where transformers reads the files itself
    adapter_targets  config → names of the modules that LoRA adapts by default
    end_tokens       tokenizer → ids at which an answer ends
    answers_per_row  "one": a row can train its last answer only (its earlier turns
                     are a prompt of another form); "all": every answer of a row
    place_rows       positions of packed rows, and how many tokens of each see each other
    context_positions
                     (length,) places in the context → the network's `position_ids` of one row
    derives_positions
                     whether the network counts a row's positions from its first token that is
                     no padding, where none are given
    prefix_width     config → width of a prefix's embeddings where a network stands behind
                     them, as the family's scripts have it; None: the model's hidden size
    module_names     what other families call a module → what this network does
    llama_cpp        its vocabulary as llama.cpp's files hold it; None: it has none there
    prepare          tokenizer → ready for very many rows: what takes seconds and saves more
    read_answer      what the model wrote → its text, and the tools that it calls
    """

    name: str
    recognises: Callable[[Path, Mapping[str, Any]], bool]
    load_tokenizer: Callable[[Path], PreTrainedTokenizerBase]
    render: Render
    layout: Layout | None
    adapter_targets: Callable[[PreTrainedConfig], tuple[str, ...]]
    end_tokens: Callable[[Any], tuple[int, ...]]
    answers_per_row: Literal["one", "all"] = "all"
    place_rows: PlaceRows = restarting
    context_positions: Callable[[torch.Tensor], torch.Tensor] = lambda places: places[None]
    derives_positions: bool = False
    prefix_width: Callable[[PreTrainedConfig], int] | None = None
    module_names: Mapping[str, str] = field(default_factory=dict)
    llama_cpp: MakeVocabulary | None = None
    prepare: Callable[[Any], None] = as_it_is
    read_answer: ReadAnswer = read_text
