"""Checkpoints that hold only what was trained, without an adapter's config.

    official P-tuning scripts   `prefix_encoder.*` in the weights, `pre_seq_len` in config.json
    ChatGLM-Efficient-Tuning    a prefix, or the layers not frozen, in `adapter_model.bin`

A prefix is added to the model; weights take the place of the model's own. Ours are
written as these are: a prefix so that the official scripts read it, weights as
safetensors; beside them config.json names the model by `_name_or_path`.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from peft.utils.integrations import dequantize_module_weight
from safetensors.torch import save_file
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel

from tuneglm.errors import ModelError
from tuneglm.models.family import Layout
from tuneglm.models.layout import parts_alone, to_native, to_published
from tuneglm.models.packed import PackedLinear
from tuneglm.models.prefix import MODULE, add_prefix, check_prefix, split_prefix
from tuneglm.models.quantization import is_quantized
from tuneglm.models.weights import (
    INDEX_FILES,
    SINGLE_FILES,
    input_weight,
    read_json,
    read_tensors,
    weight_files,
    weight_names,
)

ADAPTER_FILES = ("adapter_model.safetensors", "adapter_model.bin")
# the one file that the official scripts look for
OFFICIAL_FILE = "pytorch_model.bin"

Tensors = dict[str, torch.Tensor]


def is_partial(folder: Path) -> bool:
    """Whether a folder holds trained parts of a model alone."""
    return _file_of_parts(folder) is not None or _is_prefix_alone(folder)


def read_partial(folder: Path) -> Tensors:
    """All its tensors under their published names, or a model's own."""
    file = _file_of_parts(folder)
    files = [file] if file is not None else weight_files(folder)
    return {name: tensor for each in files for name, tensor in read_tensors(each)}


def read_adapter_tensors(folder: Path) -> Iterator[tuple[str, torch.Tensor]]:
    """(name, tensor) of an adapter's file, as it names them."""
    for name in ADAPTER_FILES:
        if (folder / name).is_file():
            return read_tensors(folder / name)
    raise ModelError(
        f"The adapter `{folder}` has no weights.", f"`{ADAPTER_FILES[0]}` belongs beside its config"
    )


def add_partial(model: PreTrainedModel, folder: Path, layout: Layout | None) -> None:
    """Put the parts in `folder` into a model, each in its place; ModelError names a misfit."""
    prefix, weights = split_prefix(read_partial(folder))
    if any(".lora_" in name for name in weights):
        raise ModelError(
            f"`{folder}` holds LoRA's weights, but `adapter_config.json` is missing.",
            "it says rank and scale: put it beside them",
        )
    try:
        own = own_tensors(model.config, weights, layout)
    except RuntimeError as error:
        raise ModelError(
            f"The weights in `{folder}` cannot be split into the model's: {error}.",
            "they were trained on another model",
        ) from None
    place_weights(model, folder, own)
    if prefix:
        check_prefix(folder, read_json(folder / "config.json", {}), prefix)
        add_prefix(model, prefix)


def place_weights(model: PreTrainedModel, folder: Path, own: Tensors) -> None:
    """Let weights take the place of the model's, out of their bits where these are packed."""
    take_apart(model, {name.removesuffix(".weight") for name in own})
    state = dict(model.named_parameters(remove_duplicate=False))
    for name, tensor in own.items():
        if name not in state or state[name].shape != tensor.shape:
            found = f"{tuple(state[name].shape)}" if name in state else "has no such weight"
            raise ModelError(
                f"`{name}` of `{folder}` has the shape {tuple(tensor.shape)}, the model {found}.",
                "it was trained on another model",
            )
    with torch.no_grad():
        for name, tensor in own.items():
            state[name].copy_(tensor)


def take_apart(model: PreTrainedModel, names: Iterable[str]) -> None:
    """Take these modules' linear layers out of their bits: whole weights need whole places."""
    if not is_quantized(model):
        return
    for name in names:
        inside = model.get_submodule(name).named_modules() if _has_module(model, name) else ()
        for inner, layer in list(inside):
            whole = _whole(layer, input_weight(model).dtype)
            if whole is not layer:
                model.set_submodule(f"{name}.{inner}".removesuffix("."), whole)


def save_partial(
    model: PreTrainedModel, layout: Layout | None, weights: Tensors, folder: Path
) -> None:
    """Write weights of a model alone, under their published names where there are such."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: each.detach().cpu().contiguous() for name, each in weights.items()}
    if layout is not None:
        alone = parts_alone(layout, tensors)
        whole = {name: each for name, each in tensors.items() if name not in alone}
        tensors = {**to_published(layout, model.config, whole), **alone}
    if all(f"{MODULE}." in name for name in tensors):
        torch.save(tensors, folder / OFFICIAL_FILE)
    else:
        save_file(tensors, folder / ADAPTER_FILES[0], metadata={"format": "pt"})
    text = json.dumps(_config_of(model, layout), indent=2)
    (folder / "config.json").write_text(text + "\n", encoding="utf-8")


def read_own(config: PreTrainedConfig, layout: Layout | None, folder: Path) -> Tensors:
    """What `save_partial` wrote, under the model's own names."""
    return own_tensors(config, read_partial(folder), layout)


def _config_of(model: PreTrainedModel, layout: Layout | None) -> dict[str, Any]:
    """A config.json that says whose parts these are."""
    config = model.config
    content: dict[str, Any]
    if layout is not None:
        content = layout.to_published_config(config)
        if getattr(config, "pre_seq_len", None):
            content |= {key: getattr(config, key) for key in ("pre_seq_len", "prefix_projection")}
    else:
        content = json.loads(config.to_json_string())
        content.pop("quantization_config", None)
    return {**content, "_name_or_path": model.name_or_path}


def _whole(layer: nn.Module, dtype: torch.dtype) -> nn.Module:
    """A linear layer with its weight out of its bits; any other module as it is."""
    if isinstance(layer, PackedLinear):
        return layer.dequantized(dtype)
    if not isinstance(layer, nn.Linear) or layer.weight.is_floating_point():
        return layer
    whole = nn.Linear(
        layer.in_features, layer.out_features, bias=layer.bias is not None, device="meta"
    )
    whole.weight = nn.Parameter(dequantize_module_weight(layer).to(dtype))
    # bitsandbytes holds it in float32, and turns it at every use
    whole.bias = None if layer.bias is None else nn.Parameter(layer.bias.to(dtype))
    return whole


def _has_module(model: PreTrainedModel, name: str) -> bool:
    return any(name == present for present, _ in model.named_modules())


def own_tensors(
    config: PreTrainedConfig, weights: Mapping[str, torch.Tensor], layout: Layout | None
) -> Tensors:
    """Weights under published names, or ours, under ours."""
    if layout is None:
        return dict(weights)
    own: Tensors = {}
    for key, tensor in weights.items():
        try:
            own |= to_native(layout, config, key, layout.read(config, key, tensor))
        except KeyError:
            own[key] = tensor
    return own


def _file_of_parts(folder: Path) -> Path | None:
    """An adapter's file of weights beside which there is neither its config nor a model."""
    if any((folder / name).is_file() for name in ("adapter_config.json", *SINGLE_FILES)):
        return None
    return next((folder / name for name in ADAPTER_FILES if (folder / name).is_file()), None)


def _is_prefix_alone(folder: Path) -> bool:
    if not any((folder / name).is_file() for name in (*INDEX_FILES, *SINGLE_FILES)):
        return False
    if "pre_seq_len" not in read_json(folder / "config.json", {}):
        return False
    return all(f"{MODULE}." in name for name in weight_names(folder))
