"""Adapters: ours and others', on split or on fused modules, put into a model and out again."""

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model_state_dict, set_peft_model_state_dict
from peft.tuners.lora import LoraLayer
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils.other import AuxiliaryTrainingWrapper
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel

from tuneglm.errors import ModelError
from tuneglm.models.family import Family
from tuneglm.models.fused_adapters import split_key, to_split
from tuneglm.models.layout import native_names
from tuneglm.models.packed import is_packed
from tuneglm.models.partial import (
    add_partial,
    is_partial,
    own_tensors,
    place_weights,
    read_adapter_tensors,
)
from tuneglm.models.soft_prompt import PEFT_TYPE, add_soft_prompt
from tuneglm.models.weights import input_weight, read_json

CONFIG_FILE = "adapter_config.json"

# what peft adds to the name of embeddings, or a head, whose rows it trained
TOKEN_ROWS = ".token_adapter.trainable_tokens_delta"
# what else than the names of modules says where an adapter goes; its file says it in full
WHERE_ELSE = {"layers_to_transform": None, "layers_pattern": None, "exclude_modules": None}

Tensors = dict[str, torch.Tensor]


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds trained parts rather than a whole model."""
    return (folder / CONFIG_FILE).is_file() or is_partial(folder)


@contextmanager
def adapter_off(model: nn.Module) -> Iterator[None]:
    """Within it a model computes as if it had no adapter.

    peft's own way also says of the weights that they need no gradient, which those who share
    them out among processes have noted otherwise.
    """
    kinds = BaseTunerLayer | AuxiliaryTrainingWrapper
    layers: list[Any] = [each for each in model.modules() if isinstance(each, kinds)]
    before = [layer._disable_adapters for layer in layers]
    for layer in layers:
        layer._disable_adapters = True
    try:
        yield
    finally:
        for layer, was_off in zip(layers, before, strict=True):
            layer._disable_adapters = was_off


def read_base_path(folder: Path) -> str:
    """Folder or id of the model that the adapter was trained on."""
    file, key = base_key(folder)
    base = read_json(file, {}).get(key)
    if not base:
        raise ModelError(
            f"`{folder}` holds trained parts of a model, and does not say of which.",
            f"give the model and these as its adapter, or write its folder or id as `{key}` "
            f"into {file}",
        )
    return str(base)


def base_key(folder: Path) -> tuple[Path, str]:
    """The file of an adapter, and the key in it, that name the model it was trained on."""
    if (folder / CONFIG_FILE).is_file():
        return folder / CONFIG_FILE, "base_model_name_or_path"
    # official P-tuning scripts save the config of the model that they loaded
    return folder / "config.json", "_name_or_path"


def add_adapter(model: PreTrainedModel, folder: Path, family: Family, name: str) -> None:
    """Put the adapter in `folder` into the model's own layers, active beside those before it.

    LoRA on the published fused modules is converted exactly; a prefix is added,
    and weights that were trained themselves take the place of the model's. Every
    weight must find its place and the other way round, else ModelError.
    """
    if is_partial(folder):
        add_partial(model, folder, family.layout)
        return
    stored = read_json(folder / CONFIG_FILE)
    if stored.get("peft_type") == PEFT_TYPE:
        add_soft_prompt(model, folder, stored, family)
        return
    config, weights, whole = read_adapter(folder)
    _place_whole(model, folder, config, whole, family)
    if family.layout is not None:
        try:
            config, weights = to_split(family.layout, model.config, config, weights)
        except RuntimeError as error:
            raise ModelError(
                f"The adapter `{folder}` cannot be split into the model's modules: {error}.",
                "it was trained on another model",
            ) from None
    config |= {"target_modules": _targets(model, folder, weights), **WHERE_ELSE}
    if config.get("use_dora") and is_packed(model):
        raise ModelError(
            f"The adapter `{folder}` is DoRA's, which needs whole weights; the model's are packed.",
            "write the model in 16 bits first: tuneglm export",
        )
    active = model.active_adapters() if model._hf_peft_config_loaded else []
    try:
        model.add_adapter(LoraConfig(**config), adapter_name=name)
    except (TypeError, ValueError) as error:
        raise ModelError(f"The adapter `{folder}` does not fit this model: {error}") from None
    # peft would save the embeddings too where it cannot read the base's own config.json
    model.get_adapter_state_dict = partial(  # type: ignore[method-assign]
        _adapter_state_dict, model
    )
    _fill(model, folder, weights, name)
    model.set_adapter([*active, name])


def read_weights(model: PreTrainedConfig, folder: Path, family: Family) -> Tensors:
    """All tensors of a LoRA adapter, under the model's own names."""
    config, weights, whole = read_adapter(folder)
    if family.layout is not None:
        weights = to_split(family.layout, model, config, weights)[1]
    return weights | own_tensors(model, whole, family.layout)


def merge_adapters(model: PreTrainedModel) -> None:
    """Add the active adapters to the weights that they adapt, in place; the adapters are gone."""
    pairs = model.all_tied_weights_keys.items()
    tied = {
        name.removesuffix(".weight").removesuffix(".base_layer") for pair in pairs for name in pair
    }
    for name, module in list(model.named_modules()):
        if isinstance(module, LoraLayer):
            if name in tied:
                raise ModelError(
                    f"`{name}` is tied to another weight, which merging its adapter would change.",
                    "keep the adapter apart",
                )
            try:
                module.merge(safe_merge=True)
            except ValueError as error:
                raise ModelError(f"The adapter of `{name}` cannot be merged: {error}.") from None
            model.set_submodule(name, module.get_base_layer())
    if model._hf_peft_config_loaded:
        model._hf_peft_config_loaded = False
        del model.peft_config, model.get_adapter_state_dict


def _targets(model: PreTrainedModel, folder: Path, weights: Tensors) -> list[str]:
    """The modules that a file adapts: by the last part of their names where it adapts all such."""
    modules = {split_key(key)[0] for key in weights}
    strange = sorted(modules - {name for name, _ in model.named_modules()})
    if strange or not modules:
        what = f"adapts `{strange[0]}`, which this model does not have" if strange else "is empty"
        raise ModelError(f"The adapter `{folder}` {what}.", "it was trained on another model")
    short = {name.rpartition(".")[2] for name in modules}
    present = {name for name, _ in model.named_modules() if name.rpartition(".")[2] in short}
    return sorted(short if present == modules else modules)


def _known_options(folder: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """Without what other versions of peft wrote and left empty; what else is unknown is refused."""
    known = {field.name for field in dataclasses.fields(LoraConfig)}
    unknown = sorted(key for key in config if key not in known and config[key])
    if unknown:
        raise ModelError(
            f"The adapter `{folder}` does not fit this model: its config has `{unknown[0]}: "
            f"{config[unknown[0]]}`, which this version of peft does not know.",
            "use the version of peft that wrote it, or merge it into its model with that",
        )
    return {key: value for key, value in config.items() if key in known}


def _adapter_state_dict(
    model: PreTrainedModel, adapter_name: str | None = None, state_dict: Any = None
) -> Any:
    """See `PreTrainedModel.get_adapter_state_dict`."""
    name = adapter_name or model.active_adapters()[0]
    return get_peft_model_state_dict(
        model, state_dict=state_dict, adapter_name=name, save_embedding_layers=False
    )


def read_adapter(folder: Path) -> tuple[dict[str, Any], Tensors, Tensors]:
    """Its config, the tensors of LoRA, and those of whole modules and rows."""
    config = dict(read_json(folder / CONFIG_FILE))
    if config.get("peft_type") == "LORA":
        config = _known_options(folder, config)
    if config.get("peft_type") != "LORA":
        raise ModelError(
            f"`{folder}` is an adapter of type `{config.get('peft_type')}`; LORA is known."
        )
    low_rank, whole = dict[str, torch.Tensor](), dict[str, torch.Tensor]()
    for key, tensor in read_adapter_tensors(folder):
        kind = low_rank if ".lora_" in key else whole
        kind[".".join(filter(None, split_key(key)))] = tensor
    return config, low_rank, whole


def _place_whole(
    model: PreTrainedModel, folder: Path, config: dict[str, Any], whole: Tensors, family: Family
) -> None:
    """What an adapter trained beside LoRA takes the model's place: modules, and rows of tokens."""
    tokens = config.pop("trainable_token_indices", None) or {}
    modules = config.pop("modules_to_save", None) or ()
    own = own_tensors(model.config, whole, family.layout)
    for name in modules:
        if not any(f".{name}." in f".{key}" for key in whole):
            raise ModelError(
                f"The adapter `{folder}` says that it holds `{name}` whole, and its file does not.",
                "its files are of different runs",
            )
    listed = tokens if isinstance(tokens, dict) else {"": tokens}
    for key in [key for key in own if key.endswith(TOKEN_ROWS)]:
        name = key.removesuffix(TOKEN_ROWS)
        indices = next((each for end, each in listed.items() if name.endswith(end)), None)
        _place_rows(model, folder, own_module(family, name), indices, own.pop(key))
    tied = {name for pair in model.all_tied_weights_keys.items() for name in pair}
    for name in own.keys() & tied:
        raise ModelError(
            f"The adapter `{folder}` holds `{name}` as a whole, which this model ties to another.",
            "it was trained on another model",
        )
    place_weights(model, folder, own)


def own_module(family: Family, name: str) -> str:
    """A module's name in a family's network, also where it is the published one."""
    names = native_names(family.layout, name) if family.layout is not None else ()
    return names[0] if names else name


def _place_rows(
    model: PreTrainedModel, folder: Path, name: str, indices: list[int] | None, rows: torch.Tensor
) -> None:
    """Rows of tokens in the embeddings, or in a head that is not tied to them."""
    head: Any = model.get_output_embeddings()
    is_of_head = dict(model.named_modules()).get(name) is head
    weight = head.weight if is_of_head else input_weight(model)
    if indices is None or rows.shape != (len(indices), weight.shape[1]):
        raise ModelError(
            f"The rows of `{name}` in the adapter `{folder}` do not fit the tokens in its config.",
            "its files are of different runs",
        )
    with torch.no_grad():
        weight[indices] = rows.to(weight)


def _fill(model: PreTrainedModel, folder: Path, weights: Tensors, name: str) -> None:
    """Copy the weights in; every one must have its place, and every place its weight."""
    expected = {
        # a vector of magnitudes goes by its module's name alone in a file
        key.replace(f".{name}.", ".").replace("_vector.weight", "_vector"): parameter.shape
        for key, parameter in model.named_parameters()
        if ".lora_" in key and f".{name}." in key
    }
    for key, tensor in weights.items():
        shape = expected.pop(key, None)
        if shape is None or shape != tensor.shape:
            found = "no such module" if shape is None else f"the shape {tuple(shape)} there"
            raise ModelError(
                f"`{key}` of the adapter `{folder}` has the shape {tuple(tensor.shape)}; "
                f"the model has {found}.",
                "the adapter was trained on another model",
            )
    if expected:
        raise ModelError(
            f"The adapter `{folder}` lacks {len(expected)} weights, the first is "
            f"`{next(iter(expected))}`.",
            "its file is not whole",
        )
    set_peft_model_state_dict(model, weights, adapter_name=name)
