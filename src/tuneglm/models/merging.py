"""What adapters make of a model's weights, some rows at a time: the model is not loaded.

    W + s · B A                          LoRA; s = alpha / r, or alpha / √r
    m / ‖W + s · B A‖ · (W + s · B A)    DoRA, by rows
    W'                                   weights and rows of tokens that were trained themselves

The sum is made in float32 and rounded once, so a merged weight in few bits is nearer to
the exact one than one that is rounded at each step.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from peft.utils.other import get_pattern_key
from transformers import PreTrainedConfig

from tuneglm.errors import ModelError
from tuneglm.models.adapters import TOKEN_ROWS, own_module, read_adapter
from tuneglm.models.chain import kind_of, with_earlier
from tuneglm.models.family import Family
from tuneglm.models.fused_adapters import split_key, to_split
from tuneglm.models.partial import own_tensors, read_partial
from tuneglm.models.prefix import split_prefix

Tensors = dict[str, torch.Tensor]
# options of LoRA with which its update is another one
OTHER_UPDATES = (
    *("fan_in_fan_out", "use_qalora", "alora_invocation_tokens", "layer_replication"),
    *("target_parameters", "lora_bias", "arrow_config", "use_bdlora"),
)
# ways to begin that also change the base
OTHER_BEGINNINGS = ("pissa", "olora", "loftq", "corda", "lora_ga")
LEAVES = ("lora_A.weight", "lora_B.weight")
MAGNITUDE = "lora_magnitude_vector"


@dataclass(frozen=True)
class Replaced:
    """A weight that takes the place of the model's, or some rows that do."""

    tensor: torch.Tensor
    rows: Sequence[int] | None = None

    def on(self, weight: torch.Tensor, part: slice) -> torch.Tensor:
        """These rows of the changed weight."""
        if self.rows is None:
            return self.tensor[part] if self.tensor.ndim else self.tensor
        # wide enough for both: what is trained is finer than what is stored
        wide = torch.promote_types(weight.dtype, self.tensor.dtype)
        changed = weight.to(wide, copy=True)
        for number, row in enumerate(self.rows):
            if part.start <= row < part.stop:
                changed[row - part.start] = self.tensor[number].to(wide)
        return changed


@dataclass(frozen=True)
class LowRank:
    """LoRA on a linear layer: `down` (rank, in), `up` (out, rank), DoRA's `magnitude` (out,)."""

    down: torch.Tensor
    up: torch.Tensor
    scale: float
    magnitude: torch.Tensor | None = None

    def on(self, weight: torch.Tensor, part: slice) -> torch.Tensor:
        """These rows of the merged weight, in float32."""
        # a copy even where it is float32 already: the model's own lies on the disk
        merged = weight.to(torch.float32, copy=True)
        merged.addmm_(self.up[part].float(), self.down.float(), alpha=self.scale)
        if self.magnitude is None:
            return merged
        norm = merged.norm(dim=1)
        return merged.mul_((self.magnitude[part].float() / norm)[:, None])


Change = Replaced | LowRank


@dataclass(frozen=True)
class Changes:
    """Name of a weight → what is done to it, in this order; and a prefix, which is no weight."""

    weights: dict[str, list[Change]] = field(default_factory=dict)
    prefix: Tensors = field(default_factory=dict)

    def merged(self, name: str, weight: torch.Tensor, part: slice) -> torch.Tensor:
        """Rows of a weight with all changes; the same tensor where there is none."""
        for change in self.weights.get(name, ()):
            weight = change.on(weight, part)
        return weight


class OtherUpdateError(Exception):
    """An adapter whose update is not one of these: peft itself must merge it."""


def changes_of(
    adapters: Sequence[Path],
    family: Family,
    config: PreTrainedConfig,
    shapes: Mapping[str, torch.Size],
) -> Changes:
    """What the adapters, and those before them, change.

    shapes  of the model's weights

    Raises ModelError for what does not fit the model, OtherUpdateError for what peft must merge.
    """
    changes = Changes()
    for folder, _ in with_earlier(adapters):
        kind = kind_of(folder)
        if kind == "prompt":
            # `refuse_prefix` says it
            continue
        if kind in ("p_tuning", "freeze"):
            prefix, weights = split_prefix(read_partial(folder))
            changes.prefix.update(prefix)
            _replace(changes, folder, own_tensors(config, weights, family.layout))
        else:
            _add_lora(changes, folder, family, config)
    _check(changes, shapes)
    return changes


def _replace(changes: Changes, folder: Path, own: Tensors) -> None:
    if any(".lora_" in name for name in own):
        raise ModelError(
            f"`{folder}` holds LoRA's weights, but `adapter_config.json` is missing.",
            "it says rank and scale: put it beside them",
        )
    for name, tensor in own.items():
        changes.weights.setdefault(name, []).append(Replaced(tensor))


def _add_lora(changes: Changes, folder: Path, family: Family, config: PreTrainedConfig) -> None:
    settings, weights, whole = read_adapter(folder)
    if any(settings.get(key) for key in OTHER_UPDATES) or str(
        settings.get("init_lora_weights")
    ).startswith(OTHER_BEGINNINGS):
        raise OtherUpdateError
    own = own_tensors(config, whole, family.layout)
    for name in [name for name in own if name.endswith(TOKEN_ROWS)]:
        rows = _listed_rows(settings, name.removesuffix(TOKEN_ROWS))
        weight = f"{own_module(family, name.removesuffix(TOKEN_ROWS))}.weight"
        changes.weights.setdefault(weight, []).append(Replaced(own.pop(name), rows))
    _replace(changes, folder, own)
    if family.layout is not None:
        try:
            settings, weights = to_split(family.layout, config, settings, weights)
        except RuntimeError as error:
            raise ModelError(
                f"The adapter `{folder}` cannot be split into the model's modules: {error}.",
                "it was trained on another model",
            ) from None
    for module in dict.fromkeys(split_key(key)[0] for key in weights):
        leaves = {split_key(key)[1]: each for key, each in weights.items() if _is_of(key, module)}
        changes.weights.setdefault(f"{module}.weight", []).append(
            _low_rank(folder, module, leaves, settings)
        )


def _is_of(key: str, module: str) -> bool:
    return key.startswith(f"{module}.lora_")


def _low_rank(folder: Path, module: str, leaves: Tensors, settings: Mapping[str, Any]) -> LowRank:
    magnitude = leaves.pop(MAGNITUDE, leaves.pop(f"{MAGNITUDE}.weight", None))
    if set(leaves) - set(LEAVES):
        raise OtherUpdateError
    if set(leaves) != set(LEAVES):
        raise ModelError(
            f"The adapter `{folder}` lacks a part of `{module}`.", "its file is not whole"
        )
    if (magnitude is None) == bool(settings.get("use_dora")):
        raise ModelError(
            f"The adapter `{folder}` has no magnitudes for `{module}`, or has some that its "
            "config does not tell of.",
            "its files are of different runs",
        )
    down, up = (leaves[leaf] for leaf in LEAVES)
    rank = _patterned(settings, "rank_pattern", module, settings.get("r", 8))
    if down.shape[0] != rank or up.shape[1] != rank:
        raise ModelError(
            f"`{module}` of the adapter `{folder}` has the rank {down.shape[0]}, and its config "
            f"says {rank}.",
            "its files are of different runs",
        )
    alpha = _patterned(settings, "alpha_pattern", module, settings.get("lora_alpha", 8))
    return LowRank(down, up, alpha / (rank**0.5 if settings.get("use_rslora") else rank), magnitude)


def _patterned(settings: Mapping[str, Any], name: str, module: str, usual: float) -> float:
    pattern = settings.get(name) or {}
    value: float = pattern.get(get_pattern_key([*pattern], module), usual)
    return value


def _listed_rows(settings: Mapping[str, Any], module: str) -> list[int]:
    tokens = settings.get("trainable_token_indices") or {}
    listed: Mapping[str, list[int]] = tokens if isinstance(tokens, dict) else {"": tokens}
    return next((rows for end, rows in listed.items() if module.endswith(end)), [])


def _check(changes: Changes, shapes: Mapping[str, torch.Size]) -> None:
    """Raises ModelError for a change that finds no place, or one of another shape."""
    for name, each in changes.weights.items():
        for change in each:
            shape = shapes.get(name)
            if shape is None or _shape(change, shape) != shape:
                found = "has no such weight" if shape is None else f"has {tuple(shape)} there"
                form = _shape(change, shape or torch.Size((0, 0)))
                raise ModelError(
                    f"The adapter changes `{name.removesuffix('.weight')}` as a weight of "
                    f"{tuple(form)}; the model {found}.",
                    "the adapter was trained on another model",
                )


def _shape(change: Change, shape: torch.Size) -> torch.Size:
    """Of the weight that a change fits."""
    if isinstance(change, LowRank):
        return torch.Size((change.up.shape[0], change.down.shape[1]))
    if change.rows is None:
        return change.tensor.shape
    fits = change.tensor.shape == (len(change.rows), shape[1]) if change.rows else False
    return shape if fits else change.tensor.shape
