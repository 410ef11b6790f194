"""A model's modules without its weights: what can be asked of config.json alone."""

from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from tuneglm.errors import ModelError
from tuneglm.models.family import Family
from tuneglm.models.loading import published_layout
from tuneglm.models.undivided import undivided
from tuneglm.models.weights import read_json


@undivided()
def skeleton(
    folder: Path, family: Family, attention: str | None = None, layers: int | None = None
) -> PreTrainedModel:
    """The model of a folder on the device `meta`: modules and shapes, and no memory.

    attention  transformers' `attn_implementation`; its own choice where left out
    layers     so many of the first only
    """
    config = config_of(folder, family)
    if layers is not None:
        _shorten(config.get_text_config(), layers)
    chosen = {} if attention is None else {"attn_implementation": attention}
    with torch.device("meta"):
        model: PreTrainedModel = AutoModelForCausalLM.from_config(config, **chosen)
    return model


def config_of(folder: Path, family: Family) -> Any:
    """transformers' config of a folder's network, as if its weights were whole."""
    layout = published_layout(family, folder)
    if layout is not None:
        return layout.to_native_config(read_json(folder / "config.json"))
    config: Any = AutoConfig.from_pretrained(folder)
    # bits are of the weights, which are not here
    config.quantization_config = None
    del config.quantization_config
    return config


def _shorten(config: Any, layers: int) -> None:
    config.num_hidden_layers = layers
    if getattr(config, "layer_types", None):
        config.layer_types = config.layer_types[:layers]


def layers_of(model: PreTrainedModel) -> nn.ModuleList:
    """The layers of a model, in their order."""
    count = model.config.get_text_config().num_hidden_layers
    for module in model.modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return module
    raise ModelError(
        f"The model's class `{type(model).__name__}` keeps its {count} layers in no list.",
        "take method=lora or method=full",
    )
