"""The last or the first layers are trained, whole or in part; all others stay frozen."""

import difflib
from collections.abc import Iterator
from fnmatch import fnmatchcase

from torch import nn
from transformers import PreTrainedModel

from tuneglm.errors import ConfigError
from tuneglm.method_config import FreezeConfig
from tuneglm.methods.parts import train_in_float32, tuned_parts
from tuneglm.methods.tuned import Holding, Tuned
from tuneglm.models.family import Family
from tuneglm.models.layout import own_names
from tuneglm.models.partial import take_apart
from tuneglm.models.skeleton import layers_of
from tuneglm.models.weights import states_type

ALL, QUERY_KEY_VALUE, ATTENTION = "all", "qkv", "attention"


def check(model: PreTrainedModel, config: FreezeConfig, family: Family, holding: Holding) -> None:
    """Raises ConfigError where there are fewer layers, or a layer has no module of a name."""
    present = len(layers_of(model))
    if abs(config.layers) > present:
        raise ConfigError(
            f"`method.layers` is {config.layers}, and the model has {present} layers.",
            "n > 0 trains the last n layers, n < 0 the first n",
        )
    list(_chosen(model, config, family))


def apply(model: PreTrainedModel, config: FreezeConfig, family: Family) -> Tuned:
    """The model with the chosen modules trained in float32, out of their bits where it has any."""
    model.requires_grad_(False)
    chosen = list(_chosen(model, config, family))
    take_apart(model, chosen)
    outside = states_type(model)
    train_in_float32((model.get_submodule(name) for name in chosen), outside)
    return tuned_parts(model, family)


def _chosen(model: PreTrainedModel, config: FreezeConfig, family: Family) -> Iterator[str]:
    """Full names of the modules that are trained."""
    names = {module: name for name, module in model.named_modules()}
    layers = list(layers_of(model))
    for layer in layers[-config.layers :] if config.layers > 0 else layers[: -config.layers]:
        for wanted in config.modules:
            for inner in _inner_names(layer, wanted, model, family):
                yield f"{names[layer]}.{inner}".removesuffix(".")
    if config.embeddings:
        yield names[model.get_input_embeddings()]
    if config.head:
        yield names[model.get_output_embeddings()]


def _inner_names(
    layer: nn.Module, wanted: str, model: PreTrainedModel, family: Family
) -> list[str]:
    """Names within a layer that a word of `method.modules` means."""
    if wanted == ALL:
        return [""]
    present = [name for name, _ in layer.named_modules() if name]
    projections = _ending(present, family.adapter_targets(model.config))
    if wanted == QUERY_KEY_VALUE:
        found = projections
    elif wanted == ATTENTION:
        found = sorted({name.rpartition(".")[0] for name in projections})
    else:
        found = _ending(present, own_names(family, wanted))
    if not found:
        raise _no_module(wanted, present)
    return found


def _ending(present: list[str], patterns: tuple[str, ...]) -> list[str]:
    return [
        name
        for name in present
        if any(fnmatchcase(name, each) or fnmatchcase(name, f"*.{each}") for each in patterns)
    ]


def _no_module(wanted: str, present: list[str]) -> ConfigError:
    known = [QUERY_KEY_VALUE, ATTENTION, ALL, *present]
    ends = {name.rpartition(".")[2] for name in known}
    near = difflib.get_close_matches(wanted, ends, n=1)
    nearest = f"did you mean `{near[0]}`? " if near else ""
    return ConfigError(
        f"A layer of the model has no module named `{wanted}` that could be trained.",
        f"{nearest}known: {', '.join(known)}; `*` stands for any letters",
    )
