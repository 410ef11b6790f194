"""The `training:` section → transformers.TrainingArguments, filled in where it is silent."""

import os
from typing import Any

from transformers import TrainingArguments

from tuneglm.config import RunConfig
from tuneglm.errors import ConfigError
from tuneglm.methods import METHODS
from tuneglm.models.precision import best_device, computes_bfloat16

DEFAULTS: dict[str, Any] = {
    "lr_scheduler_type": "cosine",
    "warmup_steps": 0.03,
    "logging_steps": 0.01,
    "save_total_limit": 2,
    "report_to": "none",
}
EVALUATION_DEFAULTS: dict[str, Any] = {"eval_strategy": "steps", "eval_steps": 0.1}
# what the rest of this package relies on, whatever the run file says
FIXED: dict[str, Any] = {
    "remove_unused_columns": False,
    "prediction_loss_only": True,
    "disable_tqdm": True,
    "include_num_input_tokens_seen": "non_padding",
}


def training_arguments(config: RunConfig, *, evaluates: bool) -> TrainingArguments:
    """The arguments of a run; raises ConfigError for a value that transformers refuses."""
    if not config.training.get("output_dir"):
        raise ConfigError(
            "`training.output_dir` is missing.", "say where results go: training.output_dir=FOLDER"
        )
    method = METHODS[config.method.name]
    chosen = DEFAULTS | {"learning_rate": method.learning_rate}
    chosen |= EVALUATION_DEFAULTS if evaluates else {}
    device = best_device()
    if device.type == "cpu":
        # without it transformers refuses bf16, and several processes train apart
        chosen["use_cpu"] = True
    if not config.training.keys() & {"bf16", "fp16"}:
        chosen["bf16"] = computes_bfloat16(device)
    chosen |= config.training | FIXED
    try:
        arguments = TrainingArguments(**chosen)
    except (TypeError, ValueError, ImportError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ConfigError(f"transformers refuses `training:`: {reason}") from None
    _check_processes(arguments)
    return arguments


def _check_processes(arguments: TrainingArguments) -> None:
    """A launcher's processes must have found each other: they train alone without a word if not."""
    asked = int(os.environ.get("WORLD_SIZE", "1"))
    if asked != arguments.world_size:
        raise ConfigError(
            f"{asked} processes were started, but each trains alone.",
            "without a GPU, add training.use_cpu=true",
        )
