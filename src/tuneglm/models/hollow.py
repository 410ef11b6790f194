"""A model in memory that nobody has written to: for processes to which another sends the weights.

Where a model is divided among processes, the first one reads it and the others need
its shapes alone. The system gives them pages when values arrive, and those are parts.
"""

from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from torch import nn
from transformers import AutoModelForCausalLM, PreTrainedModel

from tuneglm.models.family import Family
from tuneglm.models.packed import packed_bits
from tuneglm.models.precision import Placement
from tuneglm.models.skeleton import config_of
from tuneglm.models.weights import read_json


def can_be_hollow(folder: Path) -> bool:
    """Whether config.json alone says which weights a model has: not those of a prefix within."""
    config = read_json(folder / "config.json")
    return packed_bits(config) is None and not config.get("pre_seq_len")


def hollow_model(folder: Path, family: Family, placement: Placement) -> PreTrainedModel:
    """The model of a folder on the processor; its weights have any values, its buffers theirs."""
    with init_empty_weights(include_buffers=False):
        model: Any = AutoModelForCausalLM.from_config(
            config_of(folder, family), **placement.model_arguments
        )
    for module in model.modules():
        for name, weight in module._parameters.items():
            if weight is not None:
                empty = torch.empty(weight.shape, dtype=placement.dtype)
                module._parameters[name] = nn.Parameter(empty)
    model.tie_weights()
    return model.eval()
