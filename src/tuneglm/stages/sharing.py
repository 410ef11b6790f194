"""How the processes of a run hold the model: each a copy of it, or each a part."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import TrainingArguments

from tuneglm.config import RunConfig
from tuneglm.errors import ConfigError
from tuneglm.method_config import LoraConfig
from tuneglm.methods import METHODS
from tuneglm.models.packed import packed_bits
from tuneglm.models.weights import read_json

Kind = Literal["copies", "zero1", "zero2", "zero3", "fsdp"]
SHARDED = "SHARDED_STATE_DICT"
# of a checkpoint: what each process holds of the trained weights
PARTS_FOLDER = "trained_parts"
# what accelerate's checkpointing puts into the name of a weight
WRAPPER = "_checkpoint_wrapped_module."

WORDS: dict[Kind, str] = {
    "copies": "DDP",
    "zero1": "ZeRO-1",
    "zero2": "ZeRO-2",
    "zero3": "ZeRO-3",
    "fsdp": "FSDP",
}


# what DeepSpeed offloads by the name of its option; FSDP offloads both together
ZERO_PARTS = {
    "param": frozenset(("weights", "quantization", "trained")),
    "optimizer": frozenset(("gradients", "optimizer")),
}
ALL_STATES = frozenset[str]().union(*ZERO_PARTS.values())


@dataclass(frozen=True)
class Sharing:
    """What is divided among so many processes: the weights too by zero3 and fsdp.

    ZeRO-1 and -2 (arXiv:1910.02054) divide the optimizer's states, -2 the gradients as well.
    `offloads`: parts that lie in the memory of the machine and not of the device.
    """

    kind: Kind = "copies"
    processes: int = 1
    offloads: frozenset[str] = frozenset()

    @property
    def divides_weights(self) -> bool:
        """Whether a process holds a part of each weight alone."""
        return self.kind in ("zero3", "fsdp")

    @property
    def divides_gradients(self) -> bool:
        """Whether a process keeps a part of each gradient alone."""
        return self.divides_weights or self.kind == "zero2"

    @property
    def is_deepspeed(self) -> bool:
        """Whether DeepSpeed's engine runs the model."""
        return self.kind.startswith("zero")

    @property
    def words(self) -> str:
        """As people call it."""
        return WORDS[self.kind]


def zero_offloads(zero: Mapping[str, Any]) -> frozenset[str]:
    """Parts that a DeepSpeed config's `zero_optimization` has in the machine's memory."""
    devices = {each: (zero.get(f"offload_{each}") or {}).get("device") for each in ZERO_PARTS}
    chosen = [ZERO_PARTS[each] for each, device in devices.items() if device not in (None, "none")]
    return frozenset().union(*chosen)


def sharing_of(arguments: TrainingArguments) -> Sharing:
    """What `training:` or the launcher asks for."""
    plugin: Any = arguments.deepspeed_plugin
    if plugin is not None and plugin.zero_stage > 0:
        offloads = zero_offloads(plugin.hf_ds_config.config.get("zero_optimization", {}))
        return Sharing(zero_kind(plugin.zero_stage), arguments.world_size, offloads)
    if arguments.world_size > 1 and (_launcher_asks("ACCELERATE_USE_FSDP") or arguments.fsdp):
        asked = (arguments.fsdp_plugin_args or {}).get("cpu_offload", False)
        all_states = bool(asked) or _launcher_asks("FSDP_OFFLOAD_PARAMS")
        offloads = ALL_STATES if all_states else frozenset()
        return Sharing("fsdp", arguments.world_size, offloads)
    return Sharing("copies", arguments.world_size)


def _launcher_asks(variable: str) -> bool:
    """What accelerate's launcher tells its processes by a variable."""
    return os.environ.get(variable, "false").lower() in ("true", "1")


def zero_kind(stage: int) -> Kind:
    """DeepSpeed's number of a stage → its kind."""
    kinds: dict[int, Kind] = {0: "copies", 1: "zero1", 2: "zero2", 3: "zero3"}
    return kinds[stage]


def check_sharing(config: RunConfig, sharing: Sharing, folder: Path) -> None:
    """Raises ConfigError for what cannot be divided among processes; `folder` is the model's."""
    if not sharing.divides_weights:
        return
    bits = packed_bits(read_json(folder / "config.json")) or config.model.bits
    if bits is not None:
        raise ConfigError(
            f"{sharing.words} cannot divide weights of {bits} bits among processes.",
            "take whole weights, or DDP: each process then holds all of them",
        )
    name = config.method.name
    if sharing.kind == "fsdp" and not METHODS[name].fsdp:
        raise ConfigError(
            f"`method={name}` cannot be trained with FSDP: it uses keys and values of a layer "
            "without its output, and FSDP then does not fetch the layer's weights.",
            "take DeepSpeed's ZeRO-3, or DDP",
        )
    if isinstance(config.method, LoraConfig) and config.method.init == "pissa":
        raise ConfigError(
            f"`method.init=pissa` takes whole weights apart, and {sharing.words} divides them.",
            "leave it out, or take DDP",
        )


def check_average(config: RunConfig, arguments: TrainingArguments) -> None:
    """Raises ConfigError where the weights have no mean: in parts, or made of others' parts."""
    sharing = sharing_of(arguments)
    if config.average is None or (sharing.kind == "copies" and not arguments.deepspeed_plugin):
        return
    words = "DeepSpeed" if arguments.deepspeed_plugin else sharing.words
    raise ConfigError(
        f"`average` takes the mean of whole weights, and {words} has none that it trains on.",
        "leave it out, or take DDP",
    )


def trained_weights(model: Any, sharing: Sharing, keep: bool) -> dict[str, torch.Tensor]:
    """Every trained weight whole and on the processor, in the process that keeps them.

    All processes call it at once: each gives its part.
    """
    whole = {}
    for name, weight in model.named_parameters():
        if not weight.requires_grad:
            continue
        tensor = _whole(weight, sharing)
        if keep:
            whole[name.replace(WRAPPER, "")] = tensor.detach().cpu()
    return whole


def _whole(weight: Any, sharing: Sharing) -> torch.Tensor:
    if sharing.is_deepspeed:
        from deepspeed.utils import safe_get_full_fp32_param

        # the engine's own weights are in 16 bits where it computes so; those it changes are not
        changed: torch.Tensor | None = safe_get_full_fp32_param(weight)
        return weight if changed is None else changed
    from torch.distributed.tensor import DTensor

    return weight.full_tensor() if isinstance(weight, DTensor) else weight


def save_parts(model: Any, checkpoint: Path) -> None:
    """Each process writes its parts of FSDP's trained weights; all call it at once."""
    from torch.distributed import checkpoint as parts

    parts.save({"model": _trained_parts(model)}, checkpoint_id=checkpoint / PARTS_FOLDER)


def load_parts(model: Any, checkpoint: Path) -> None:
    """Put back what `save_parts` wrote, by whatever number of processes."""
    from torch.distributed import checkpoint as parts
    from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict

    state = {"model": _trained_parts(model)}
    parts.load(state, checkpoint_id=checkpoint / PARTS_FOLDER)
    set_model_state_dict(model, state["model"], options=StateDictOptions(strict=False))


def _trained_parts(model: Any) -> dict[str, Any]:
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

    return get_model_state_dict(model, options=StateDictOptions(ignore_frozen_params=True))
