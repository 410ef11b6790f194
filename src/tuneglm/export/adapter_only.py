"""An adapter without its model: in one file for the old code, or for peft, or an official prefix.

The old code knows one rank and one scale for all modules, and the fused `query_key_value`.
So the parts of a fused module become blocks of one of three times the rank, ranks are
made equal by rows of zeros, and what a scale differs goes into B: the update stays what it was.
"""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from tuneglm.errors import ModelError
from tuneglm.export.source import Source
from tuneglm.models.adapters import CONFIG_FILE, base_key, is_adapter, read_base_path
from tuneglm.models.chain import CHAIN_FILE, kind_of
from tuneglm.models.fused_adapters import to_fused
from tuneglm.models.merging import Changes, LowRank, OtherUpdateError, changes_of
from tuneglm.models.partial import ADAPTER_FILES, OFFICIAL_FILE
from tuneglm.models.prefix import MODULE, encoder_of
from tuneglm.models.skeleton import skeleton

# what versions of peft before 0.6 look for
OLD_FILE = ADAPTER_FILES[1]
PREFIX_NAME = f"transformer.{MODULE}"
PEFT_NAME = "base_model.model"

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class _Even:
    """LoRA of one rank and one scale: names of `A` and `B` without what peft puts before them."""

    rank: int
    scale: float
    weights: Tensors


def write_adapter(source: Source, folder: Path) -> None:
    """The one adapter of `source`; raises ModelError where it has no such form."""
    adapter = _only(source)
    model = skeleton(source.base, source.family)
    shapes = {name: each.shape for name, each in model.state_dict().items()}
    try:
        changes = changes_of([adapter], source.family, model.config, shapes)
    except OtherUpdateError:
        raise ModelError(
            f"The update of the adapter `{adapter}` is one that only peft knows.",
            "merge it: leave --adapter-only out",
        ) from None
    if changes.prefix:
        _write_prefix(source, adapter, changes.prefix, model.config, folder)
        return
    even = _even(adapter, changes)
    if source.layout is not None:
        fused = to_fused(source.layout, model.config, even.weights)
        even = _of_one_rank(fused, even.scale)
    _write_lora(adapter, even, folder, model.config.num_hidden_layers)


def _only(source: Source) -> Path:
    """The adapter; raises ModelError where there is none, or more than one."""
    if len(source.adapters) != 1 or not is_adapter(source.given[0]):
        what = "several adapters" if len(source.adapters) > 1 else "a whole model"
        raise ModelError(
            f"`{source.given[0]}` is {what}, and --adapter-only writes one adapter alone.",
            "name the folder of a single one, or leave --adapter-only out",
        )
    (adapter,) = source.adapters
    reason = {
        "prompt": "is a soft prompt, which has one form only: its own folder",
        "freeze": "is weights of the model's own, which have no other form than their folder",
    }.get(kind_of(adapter))
    if (adapter / CHAIN_FILE).is_file():
        reason = "was trained on top of others, and means nothing without them"
    if reason is not None:
        raise ModelError(f"`{adapter}` {reason}.", "leave --adapter-only out, or use it as it is")
    return adapter


def _even(adapter: Path, changes: Changes) -> _Even:
    """All of LoRA with the largest rank and the scale of the first."""
    updates: dict[str, LowRank] = {}
    for name, each in changes.weights.items():
        if len(each) > 1 or not isinstance(each[0], LowRank) or each[0].magnitude is not None:
            raise ModelError(
                f"The adapter `{adapter}` holds more than LoRA's two matrices for "
                f"`{name.removesuffix('.weight')}`.",
                "merge it: leave --adapter-only out",
            )
        updates[name.removesuffix(".weight")] = each[0]
    first = next(iter(updates.values()))
    weights: Tensors = {}
    for module, update in updates.items():
        weights[f"{module}.lora_A.weight"] = update.down.float()
        weights[f"{module}.lora_B.weight"] = update.up.float() * (update.scale / first.scale)
    return _of_one_rank(weights, first.scale)


def _of_one_rank(weights: Tensors, scale: float) -> _Even:
    """The lower ranks filled up with zeros, which change no update."""
    rank = max(each.shape[0] for name, each in weights.items() if ".lora_A." in name)
    filled = {}
    for name, each in weights.items():
        missing = rank - each.shape[0 if ".lora_A." in name else 1]
        sides = (0, 0, 0, missing) if ".lora_A." in name else (0, missing)
        filled[name] = torch.nn.functional.pad(each, sides).contiguous()
    return _Even(rank, scale, filled)


def _targets(modules: list[str], layers: int) -> list[str]:
    """By the last part of their names where every layer has its own, else by whole names."""
    short = Counter(module.rpartition(".")[2] for module in modules)
    return sorted(short) if all(count == layers for count in short.values()) else modules


def _write_lora(adapter: Path, even: _Even, folder: Path, layers: int) -> None:
    modules = dict.fromkeys(name.partition(".lora_")[0] for name in even.weights)
    alpha = even.scale * even.rank
    config: dict[str, Any] = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": read_base_path(adapter),
        "r": even.rank,
        "lora_alpha": int(alpha) if alpha == int(alpha) else alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "target_modules": _targets(list(modules), layers),
    }
    text = json.dumps(config, indent=2, ensure_ascii=False)
    (folder / CONFIG_FILE).write_text(text + "\n", encoding="utf-8")
    named = {f"{PEFT_NAME}.{name}": each for name, each in even.weights.items()}
    save_file(named, folder / ADAPTER_FILES[0], metadata={"format": "pt"})
    torch.save(named, folder / OLD_FILE)


def _write_prefix(
    source: Source, adapter: Path, prefix: Tensors, config: Any, folder: Path
) -> None:
    if source.layout is None:
        raise ModelError(
            f"The family `{source.family.name}` has no official form of a prefix.",
            "use the folder as it is; plain transformers knows no prefix",
        )
    encoder = encoder_of(config, prefix)
    content = source.layout.to_published_config(config) | {
        "pre_seq_len": encoder.length,
        "prefix_projection": encoder.trans is not None,
        base_key(adapter)[1]: read_base_path(adapter),
    }
    text = json.dumps(content, indent=2, ensure_ascii=False)
    (folder / "config.json").write_text(text + "\n", encoding="utf-8")
    named = {f"{PREFIX_NAME}.{name}": each.contiguous() for name, each in prefix.items()}
    torch.save(named, folder / OFFICIAL_FILE)
