"""Checkpoints that hold only what was trained, without an adapter's config.

    official P-tuning scripts   `prefix_encoder.*` in the weights, `pre_seq_len` in config.json
    ChatGLM-Efficient-Tuning    a prefix, or the layers not frozen, in `adapter_model.bin`

A prefix is added to the model; weights take the place of the model's own.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from transformers import PreTrainedModel

from tuneglm.errors import ModelError
from tuneglm.models.family import Layout
from tuneglm.models.layout import to_native
from tuneglm.models.prefix import MODULE, add_prefix, check_prefix, split_prefix
from tuneglm.models.weights import (
    INDEX_FILES,
    SINGLE_FILES,
    read_json,
    read_tensors,
    weight_files,
    weight_names,
)

ADAPTER_FILES = ("adapter_model.safetensors", "adapter_model.bin")


def is_partial(folder: Path) -> bool:
    """Whether a folder holds trained parts of a model alone."""
    return _file_of_parts(folder) is not None or _is_prefix_alone(folder)


def read_partial(folder: Path) -> dict[str, torch.Tensor]:
    """All its tensors under their published names, or a model's own."""
    file = _file_of_parts(folder)
    files = [file] if file is not None else weight_files(folder)
    return {name: tensor for each in files for name, tensor in read_tensors(each)}


def add_partial(model: PreTrainedModel, folder: Path, layout: Layout | None) -> None:
    """Put the parts in `folder` into a model, each in its place; ModelError names a misfit."""
    prefix, weights = split_prefix(read_partial(folder))
    if any(".lora_" in name for name in weights):
        raise ModelError(
            f"`{folder}` holds LoRA's weights, but `adapter_config.json` is missing.",
            "it says rank and scale: put it beside them",
        )
    try:
        own = _own_names(model, weights, layout)
    except RuntimeError as error:
        raise ModelError(
            f"The weights in `{folder}` cannot be split into the model's: {error}.",
            "they were trained on another model",
        ) from None
    state = model.state_dict()
    for name, tensor in own.items():
        fits = name in state and state[name].shape == tensor.shape
        # a packed weight in 8 bits has the shape of the whole one, and cannot hold it
        if not fits or tensor.is_floating_point() != state[name].is_floating_point():
            found = f"{tuple(state[name].shape)}" if name in state else "has no such weight"
            raise ModelError(
                f"`{name}` of `{folder}` has the shape {tuple(tensor.shape)}, the model {found}.",
                "it was trained on another model; packed layers cannot take whole weights: write "
                "the model in 16 bits first (tuneglm export)",
            )
    with torch.no_grad():
        for name, tensor in own.items():
            state[name].copy_(tensor)
    if prefix:
        check_prefix(folder, read_json(folder / "config.json", {}), prefix)
        add_prefix(model, prefix)


def _own_names(
    model: PreTrainedModel, weights: Mapping[str, torch.Tensor], layout: Layout | None
) -> dict[str, torch.Tensor]:
    if layout is None:
        return dict(weights)
    own: dict[str, torch.Tensor] = {}
    for key, tensor in weights.items():
        try:
            own |= to_native(layout, model.config, key, layout.read(model.config, key, tensor))
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
