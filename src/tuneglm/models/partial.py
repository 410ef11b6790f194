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
from tuneglm.models.prefix import MODULE, add_prefix, split_prefix
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
    if prefix:
        add_prefix(model, prefix)
    own = _own_names(model, weights, layout)
    state = model.state_dict()
    for name, tensor in own.items():
        if name not in state or state[name].shape != tensor.shape:
            found = tuple(state[name].shape) if name in state else "no such weight"
            raise ModelError(
                f"`{name}` of `{folder}` has the shape {tuple(tensor.shape)}, the model {found}.",
                "it was trained on another model, or on one whose layers were not packed in bits",
            )
        with torch.no_grad():
            state[name].copy_(tensor)


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
