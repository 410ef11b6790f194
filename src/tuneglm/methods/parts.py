"""What methods share that train parts of a model itself: how these are held, saved and restored."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from tuneglm.errors import ModelError
from tuneglm.methods.tuned import Tuned
from tuneglm.models.family import Family
from tuneglm.models.partial import read_own, save_partial


def tuned_parts(model: PreTrainedModel, family: Family) -> Tuned:
    """A model of which what requires gradients is trained, saved and restored alone."""
    names = [name for name, each in model.named_parameters() if each.requires_grad]

    def save_pretrained(
        folder: str | Path,
        state_dict: dict[str, torch.Tensor] | None = None,
        is_main_process: bool = True,
        **_: Any,
    ) -> None:
        state = state_dict or dict(model.named_parameters())
        if is_main_process:
            save_partial(model, family.layout, {name: state[name] for name in names}, Path(folder))

    flags: Any = model
    flags.save_pretrained = save_pretrained
    return Tuned(model, restore=partial(_restore, model, family, names))


def train_in_float32(modules: Iterable[nn.Module], outside: torch.dtype) -> None:
    """Train modules in float32 within a model of another type: they turn what comes and goes."""
    for module in modules:
        for layer in module.modules():
            if not any(True for _ in layer.parameters(recurse=False)):
                continue
            layer.to(torch.float32).requires_grad_(True)
            if outside != torch.float32:
                layer.register_forward_pre_hook(_widen)
                layer.register_forward_hook(partial(_narrow, outside))


def _widen(layer: nn.Module, values: Any) -> Any:
    return tuple(_turned(value, torch.float32) for value in values)


def _narrow(outside: torch.dtype, layer: nn.Module, values: Any, output: Any) -> Any:
    return _turned(output, outside)


def _turned(value: Any, dtype: torch.dtype) -> Any:
    if isinstance(value, torch.Tensor) and value.is_floating_point():
        return value.to(dtype)
    return value


def _restore(model: PreTrainedModel, family: Family, names: list[str], folder: Path) -> None:
    """Put what was saved back into the weights that are trained, in their own type."""
    tensors = read_own(model.config, family.layout, folder)
    if tensors.keys() != set(names):
        different = sorted(tensors.keys() ^ set(names))[0]
        raise ModelError(
            f"The checkpoint `{folder}` holds other weights than this run trains: `{different}`.",
            "it is of another run",
        )
    with torch.no_grad():
        for name, tensor in tensors.items():
            model.get_parameter(name).copy_(tensor)
