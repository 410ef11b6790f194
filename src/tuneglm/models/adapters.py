"""Adapters: ours and others', on split or on fused modules, put into a model and out again."""

import dataclasses
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model_state_dict, set_peft_model_state_dict
from peft.tuners.lora import LoraLayer
from transformers import PreTrainedConfig, PreTrainedModel

from tuneglm.errors import ModelError
from tuneglm.models.family import Family, Layout
from tuneglm.models.layout import native_names, native_targets
from tuneglm.models.packed import is_packed
from tuneglm.models.partial import add_partial, is_partial, read_adapter_tensors
from tuneglm.models.soft_prompt import PEFT_TYPE, add_soft_prompt
from tuneglm.models.weights import read_json

CONFIG_FILE = "adapter_config.json"
PREFIXES = ("base_model.model.", "base_model.")

# what else than the names of modules says where an adapter goes; its file says it in full
WHERE_ELSE = {"layers_to_transform": None, "layers_pattern": None, "exclude_modules": None}

Tensors = dict[str, torch.Tensor]


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds trained parts rather than a whole model."""
    return (folder / CONFIG_FILE).is_file() or is_partial(folder)


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
    config, weights = _read_adapter(folder)
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


def to_split(
    layout: Layout, model: PreTrainedConfig, config: Mapping[str, Any], weights: Tensors
) -> tuple[dict[str, Any], Tensors]:
    """An adapter on published modules → the same one on ours; any other comes back as it is.

    A fused module's A serves each of its parts, and B (as DoRA's magnitudes) is
    split by rows: the parts' updates are the fused update, number for number.
    """
    converted: Tensors = {}
    for key, tensor in weights.items():
        module, leaf = _split_key(key)
        names = native_names(layout, module)
        parts = [tensor] * len(names)
        if len(names) > 1 and not leaf.startswith("lora_A"):
            parts = list(tensor.split(layout.rows(model)))
        for name, part in zip(names or (module,), parts or [tensor], strict=True):
            converted[f"{name}.{leaf}"] = part
    patterns = {
        name: {
            own: value
            for key, value in (config.get(name) or {}).items()
            for own in native_names(layout, key) or native_targets(layout, key) or (key,)
        }
        for name in ("rank_pattern", "alpha_pattern")
    }
    return {**config, **patterns}, converted


def to_fused(layout: Layout, model: PreTrainedConfig, weights: Tensors) -> Tensors:
    """Our adapter → one on the published modules, exactly: q, k and v as blocks of rank 3r.

    The fused A stacks the parts' A; the fused B has each part's B in its own rows
    and columns. With parts of equal scale the update is the same, so `r` and
    `lora_alpha` are both to be multiplied by the number of parts.
    """
    published = {ours: name for name, ours in layout.modules.items()}
    result: Tensors = {}
    for key, tensor in weights.items():
        module, leaf = _split_key(key)
        layer = next((part for part in module.split(".") if part.isdigit()), "")
        pattern = module.replace(f".{layer}.", ".*.") if layer else module
        if pattern in published:
            result[f"{published[pattern].replace('*', layer)}.{leaf}"] = tensor
    for fused, parts in layout.fused.items():
        result |= _fuse(layout, model, weights, fused, parts)
    return result


def _targets(model: PreTrainedModel, folder: Path, weights: Tensors) -> list[str]:
    """The modules that a file adapts: by the last part of their names where it adapts all such."""
    modules = {_split_key(key)[0] for key in weights}
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


def _read_adapter(folder: Path) -> tuple[dict[str, Any], Tensors]:
    config = dict(read_json(folder / CONFIG_FILE))
    if config.get("peft_type") == "LORA":
        config = _known_options(folder, config)
    if config.get("peft_type") != "LORA":
        raise ModelError(
            f"`{folder}` is an adapter of type `{config.get('peft_type')}`; LORA is known."
        )
    if config.get("modules_to_save"):
        raise ModelError(
            f"The adapter `{folder}` holds whole modules beside LoRA: "
            f"{', '.join(config['modules_to_save'])}.",
            "merge it into its model with the tool that made it",
        )
    tensors = read_adapter_tensors(folder)
    return config, {".".join(_split_key(key)): tensor for key, tensor in tensors}


def _split_key(key: str) -> tuple[str, str]:
    """`base_model.model.a.b.lora_A.weight` → (`a.b`, `lora_A.weight`)."""
    for prefix in PREFIXES:
        key = key.removeprefix(prefix)
    module, separator, leaf = key.partition(".lora_")
    return module, (separator + leaf).lstrip(".")


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


def _fuse(
    layout: Layout, model: PreTrainedConfig, weights: Tensors, fused: str, parts: tuple[str, ...]
) -> Tensors:
    result: Tensors = {}
    rows = layout.rows(model)
    for layer in range(model.num_hidden_layers):
        names = [part.replace("*", str(layer)) for part in parts]
        present = [place for place, name in enumerate(names) if f"{name}.lora_A.weight" in weights]
        downs = {place: weights[f"{names[place]}.lora_A.weight"] for place in present}
        ups = {place: weights[f"{names[place]}.lora_B.weight"] for place in present}
        if not present:
            continue
        rank = downs[present[0]].shape[0]
        up = torch.zeros(sum(rows), rank * len(parts), dtype=ups[present[0]].dtype)
        down = torch.zeros(rank * len(parts), model.hidden_size, dtype=up.dtype)
        for index in present:
            start = sum(rows[:index])
            columns = slice(index * rank, (index + 1) * rank)
            up[start : start + rows[index], columns] = ups[index]
            down[columns] = downs[index]
        module = fused.replace("*", str(layer))
        result[f"{module}.lora_A.weight"], result[f"{module}.lora_B.weight"] = down, up
    return result
