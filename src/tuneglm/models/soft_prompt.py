"""Soft prompts (arXiv:2104.08691): trained embeddings that stand before each row's first token.

They stand before everything: before `[gMASK]<sop>` where a row begins with them,
and at the head of the context where a row is a context and an answer. They see
each other and nothing after them, as in any causal model; in a network whose
context sees itself they do so as well, so that what becomes of them depends on no
row. Their positions are -n … -1: the row's own begin at 0 as without them, and
with rotary embeddings, which know distances alone, that is the same as counting
the soft tokens from 0 and the row from n.

So they pass through the network once a step, however many rows there are; their
keys and values then go where a prefix goes (see `prefix.py`), and with it through
every cache, padded and packed rows and gradient checkpointing.

    SoftPrompt        the trained embeddings → keys and values of all layers
    add_soft_prompt   into a model, from a folder in peft's format (PROMPT_TUNING)
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn
from transformers import DynamicCache, PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from tuneglm.errors import ModelError
from tuneglm.models.family import Family
from tuneglm.models.partial import ADAPTER_FILES, read_adapter_tensors
from tuneglm.models.prefix import Giver, let_see
from tuneglm.models.weights import input_weight, states_type

MODULE = "soft_prompt"
# what peft names the embeddings in its file
KEY = "prompt_embeddings"
PEFT_TYPE = "PROMPT_TUNING"

Positions = Callable[[torch.Tensor], torch.Tensor]


class SoftPrompt(Giver):
    """Trained embeddings, (length, hidden) in float32.

    positions  (length,) places in the context → the network's `position_ids` of one row
    """

    def __init__(self, embeddings: torch.Tensor, positions: Positions) -> None:
        super().__init__()
        self.embedding = nn.Parameter(embeddings.to(torch.float32, copy=True))
        self.positions = positions

    def forward(self, network: Any) -> torch.Tensor:
        """(layers, 2, key-value heads, length, head_dim): what the network makes of them."""
        length = len(self.embedding)
        states = self.embedding[None].to(states_type(network))
        places = torch.arange(-length, 0, device=states.device)
        cache: Any = DynamicCache()
        with _without_checkpointing(network):
            network(
                inputs_embeds=states,
                attention_mask=torch.ones_like(places)[None],
                position_ids=self.positions(places),
                past_key_values=cache,
                use_cache=False,
                prefix=None,
            )
        return torch.stack([torch.cat((each.keys, each.values)) for each in cache.layers])


def add_soft_prompt(
    model: PreTrainedModel, folder: Path, config: Mapping[str, Any], family: Family
) -> None:
    """Put a soft prompt of ours or of peft's into a model; ModelError where it does not fit."""
    put_soft_prompt(model, fitting_soft_prompt(model, folder, config), family)


def fitting_soft_prompt(
    model: PreTrainedModel, folder: Path, config: Mapping[str, Any]
) -> torch.Tensor:
    """The soft tokens in a folder, (length, hidden); ModelError where they do not fit."""
    embeddings = read_soft_prompt(folder)
    hidden = input_weight(model).shape[1]
    wanted = (config.get("num_virtual_tokens"), hidden)
    if tuple(embeddings.shape) != wanted:
        raise ModelError(
            f"The soft prompt `{folder}` has the shape {tuple(embeddings.shape)}; by its config "
            f"and the model it should be {wanted}.",
            "it was trained on another model, or its file is not whole",
        )
    return embeddings


def put_soft_prompt(model: PreTrainedModel, embeddings: torch.Tensor, family: Family) -> None:
    """Let a model's attention see soft tokens, from the next forward on."""
    let_see(model, SoftPrompt(embeddings, family.context_positions), MODULE)
    if not family.derives_positions:
        network: Any = model.base_model
        network.register_forward_pre_hook(count_from_first_token, with_kwargs=True)


def count_from_first_token(
    network: Any, args: Any, kwargs: dict[str, Any]
) -> tuple[Any, dict[str, Any]]:
    """Positions of padded rows: padding must not stand between the soft tokens and the row."""
    mask = kwargs.get("attention_mask")
    if kwargs.get("position_ids") is not None or mask is None or mask.ndim != 2:
        return args, kwargs
    given = kwargs.get("input_ids")
    length = (kwargs["inputs_embeds"] if given is None else given).shape[1]
    positions = (mask.long().cumsum(-1) - 1).clamp(min=0)[:, -length:]
    return args, {**kwargs, "position_ids": positions}


def save_soft_prompt(model: PreTrainedModel, embeddings: torch.Tensor, folder: Path) -> None:
    """Write soft tokens as peft does."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / ADAPTER_FILES[0]
    save_file({KEY: embeddings.detach().cpu().contiguous()}, file, metadata={"format": "pt"})
    config = model.config.get_text_config()
    content = {
        "peft_type": PEFT_TYPE,
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": model.name_or_path,
        "num_virtual_tokens": len(embeddings),
        "token_dim": embeddings.shape[1],
        "num_transformer_submodules": 1,
        "num_attention_heads": config.num_attention_heads,
        "num_layers": config.num_hidden_layers,
        "prompt_tuning_init": "RANDOM",
        "inference_mode": True,
    }
    text = json.dumps(content, indent=2)
    (folder / "adapter_config.json").write_text(text + "\n", encoding="utf-8")


def read_soft_prompt(folder: Path) -> torch.Tensor:
    """The soft tokens in a folder: (length, hidden)."""
    tensors = dict(read_adapter_tensors(folder))
    if KEY not in tensors:
        raise ModelError(f"The soft prompt `{folder}` lacks `{KEY}`.", "its file is not whole")
    return tensors[KEY]


@contextmanager
def _without_checkpointing(network: nn.Module) -> Iterator[None]:
    """Checkpointed layers fill no cache; a row of soft tokens is too short to need them."""
    layers = [each for each in network.modules() if isinstance(each, GradientCheckpointingLayer)]
    before = [layer.gradient_checkpointing for layer in layers]
    for layer in layers:
        layer.gradient_checkpointing = False
    try:
        yield
    finally:
        for layer, checkpointed in zip(layers, before, strict=True):
            layer.gradient_checkpointing = checkpointed
