"""LoRA on fused modules and on their parts: the same update, number for number, both ways."""

from collections.abc import Mapping
from typing import Any

import torch
from transformers import PreTrainedConfig

from tuneglm.models.family import Layout
from tuneglm.models.layout import native_names, native_targets

PREFIXES = ("base_model.model.", "base_model.")

Tensors = dict[str, torch.Tensor]


def to_split(
    layout: Layout, model: PreTrainedConfig, config: Mapping[str, Any], weights: Tensors
) -> tuple[dict[str, Any], Tensors]:
    """An adapter on published modules → the same one on ours; any other comes back as it is.

    A fused module's A serves each of its parts, and B (as DoRA's magnitudes) is
    split by rows: the parts' updates are the fused update, number for number.
    """
    converted: Tensors = {}
    for key, tensor in weights.items():
        module, leaf = split_key(key)
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
        module, leaf = split_key(key)
        layer = next((part for part in module.split(".") if part.isdigit()), "")
        pattern = module.replace(f".{layer}.", ".*.") if layer else module
        if pattern in published:
            result[f"{published[pattern].replace('*', layer)}.{leaf}"] = tensor
    for fused, parts in layout.fused.items():
        result |= _fuse(layout, model, weights, fused, parts)
    return result


def split_key(key: str) -> tuple[str, str]:
    """`base_model.model.a.b.lora_A.weight` → (`a.b`, `lora_A.weight`)."""
    for prefix in PREFIXES:
        key = key.removeprefix(prefix)
    module, separator, leaf = key.partition(".lora_")
    return module, (separator + leaf).lstrip(".")


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
