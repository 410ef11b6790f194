"""What one process holds where several share the model: the whole's parts, divided.

FSDP and ZeRO-3 divide weights, gradients and optimizer states, ZeRO-2 the latter two.
Activations are each process's own. To compute a layer its weights are gathered: the
one at work and the next, which is fetched meanwhile.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tuneglm.errors import ConfigError
from tuneglm.models.skeleton import layers_of, skeleton
from tuneglm.plan.ledger import CASTS
from tuneglm.plan.step import Step
from tuneglm.stages.sharing import ALL_STATES, Sharing, zero_kind, zero_offloads

GATHERED, OFFLOADED = "gathered", "offloaded"
AT_ONCE = 2
# options that may name a file → what to do where it cannot be read
BEGIN_WITH = {
    "deepspeed": "configs/accelerate/zero3.json is one to begin with",
    "fsdp_config": 'a file holds what else stands in the option, as {"cpu_offload": true}',
}


def sharing_planned(training: Mapping[str, Any], processes: int) -> Sharing:
    """What a `training:` section asks for, of so many processes."""
    if training.get("deepspeed"):
        zero = _settings("deepspeed", training["deepspeed"]).get("zero_optimization", {})
        return Sharing(zero_kind(_stage(zero)), processes, zero_offloads(zero))
    if not training.get("fsdp") or processes == 1:
        return Sharing("copies", processes)
    settings = _settings("fsdp_config", training.get("fsdp_config") or {})
    # transformers takes each key with and without the library's name
    asked = settings.get("cpu_offload") or settings.get("fsdp_cpu_offload")
    offloads = bool(asked) or "offload" in str(training["fsdp"])
    return Sharing("fsdp", processes, ALL_STATES if offloads else frozenset())


def left_out(sharing: Sharing) -> str | None:
    """What a plan does not count, in words."""
    return "DeepSpeed's buckets are not counted" if sharing.is_deepspeed else None


def _settings(option: str, given: Any) -> Mapping[str, Any]:
    """What an option of `training:` says of how a model is divided, itself or in a JSON file."""
    settings = given
    if isinstance(given, str | Path):
        try:
            settings = json.loads(Path(given).expanduser().read_text(encoding="utf-8"))
        except (OSError, ValueError):
            settings = None
    if not isinstance(settings, Mapping):
        raise ConfigError(
            f"`training.{option}` names `{given}`, which is no readable JSON.", BEGIN_WITH[option]
        )
    return settings


def _stage(zero: Mapping[str, Any]) -> int:
    stage = zero.get("stage", 0)
    if stage not in (0, 1, 2, 3):
        raise ConfigError(f"DeepSpeed has no stage `{stage}`.", "known: 0, 1, 2, 3")
    return int(stage)


def divided(
    parts: Mapping[str, float], step: Step, sharing: Sharing, phase: str = ""
) -> dict[str, float]:
    """Parts of the whole model in a phase of the step → those of one process.

    What a GPU's process has in the machine's memory comes as OFFLOADED; a processor has one memory.
    """
    count = sharing.processes
    shared = dict(parts)
    casts = shared.pop(CASTS, 0.0)
    if sharing.kind == "copies":
        shared["activations"] = parts.get("activations", 0.0) + casts
        if count > 1:
            # each process also keeps what it sends to the others
            shared["gradients"] = parts.get("gradients", 0.0) + parts.get("trained", 0.0)
        return shared
    # weights come in the type that is computed in: FSDP gathers them so, DeepSpeed holds them so
    if sharing.is_deepspeed and step.computed_in is not None:
        trained = parts.get("trained", 0.0)
        shared["trained"] = trained * step.computed_in.itemsize / torch.float32.itemsize
        # of which its optimizer changes others
        shared["optimizer"] = parts.get("optimizer", 0.0) + trained
    divides = ["optimizer"]
    divides += ["gradients"] if sharing.divides_gradients else []
    divides += ["weights", "trained", "quantization"] if sharing.divides_weights else []
    # what the optimizer makes in passing is of its own part
    divides += ["activations"] if phase == "optimizer" else []
    for part in divides:
        shared[part] = shared.get(part, 0.0) / count
    if sharing.divides_weights:
        shared[GATHERED] = AT_ONCE * largest_unit(step)
    if step.device.type != "cpu":
        shared[OFFLOADED] = sum(shared.pop(part, 0.0) for part in sharing.offloads)
    return shared


def largest_unit(step: Step) -> float:
    """Bytes of the largest part that is gathered at once: a layer, the embeddings or the head."""
    model: Any = skeleton(step.folder, step.family)
    units: list[nn.Module] = [*layers_of(model), model.get_input_embeddings()]
    head = model.get_output_embeddings()
    units += [] if head is None else [head]
    most = max(sum(weight.numel() for weight in unit.parameters()) for unit in units)
    return most * (step.computed_in or step.placement.dtype).itemsize
