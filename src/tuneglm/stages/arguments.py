"""The `training:` section → transformers.TrainingArguments, filled in where it is silent."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

import torch
from transformers import TrainingArguments
from transformers.integrations import (
    get_reporting_integration_callbacks,
    is_mlflow_available,
    is_swanlab_available,
    is_tensorboard_available,
    is_wandb_available,
)

from tuneglm.config import RunConfig
from tuneglm.data.batches import makes_groups
from tuneglm.errors import ConfigError
from tuneglm.methods import METHODS
from tuneglm.methods.presets import epochs_for
from tuneglm.models.precision import DTYPES, Capability, best_device, frozen_type
from tuneglm.packages import need
from tuneglm.stages.launchers import check_processes

DEFAULTS: dict[str, Any] = {
    "lr_scheduler_type": "cosine",
    "warmup_steps": 0.03,
    "logging_steps": 0.01,
    "save_total_limit": 2,
    "report_to": "none",
    # a loss that is no number is not to be shown as 0
    "logging_nan_inf_filter": False,
}
EVALUATION_DEFAULTS: dict[str, Any] = {"eval_strategy": "steps", "eval_steps": 0.1}
# what the rest of this package relies on: a run file that says otherwise is refused
FIXED: dict[str, Any] = {
    "remove_unused_columns": False,
    "prediction_loss_only": True,
    "disable_tqdm": True,
    "include_num_input_tokens_seen": "non_padding",
}

# options that would be passed over without a word → what to write instead
ELSEWHERE: dict[str, str] = {
    "resume_from_checkpoint": "resume=CHECKPOINT goes on from a checkpoint",
    "do_predict": "`tuneglm chat OUTPUT` asks the result",
}
METRICS = (None, "loss", "eval_loss", "eval_probe")
# where questions are asked while it trains: the checkpoint that answers them best is the result
PROBE_DEFAULTS: dict[str, Any] = {
    "load_best_model_at_end": True,
    "metric_for_best_model": "eval_probe",
    "greater_is_better": True,
}
# by name in `training.report_to`; the package is called the same
TRACKERS = {
    "tensorboard": is_tensorboard_available,
    "wandb": is_wandb_available,
    "swanlab": is_swanlab_available,
    "mlflow": is_mlflow_available,
}
SAMPLING = ("random", "sequential")


def training_arguments(
    config: RunConfig, *, evaluates: bool, rows: int | None
) -> TrainingArguments:
    """The arguments of a run; raises ConfigError for a value that transformers refuses.

    Where they say neither epochs nor steps, the number of rows decides; None: not known.
    """
    if not config.training.get("output_dir"):
        raise ConfigError(
            "`training.output_dir` is missing.", "say where results go: training.output_dir=FOLDER"
        )
    _refuse_unused(config.training, evaluates)
    _refuse_unevaluated(config, evaluates)
    _refuse_missing(config.training)
    chosen = DEFAULTS | _batching(config) | _streaming(config)
    method = METHODS[config.method.name]
    _refuse_reentrant(config)
    chosen |= {"learning_rate": method.learning_rate}
    if rows is not None:
        chosen["num_train_epochs"] = epochs_for(config.method.name, rows)
    chosen |= EVALUATION_DEFAULTS | _best(config) | _probing(config) if evaluates else {}
    device = best_device()
    if device.type == "cpu":
        # without it transformers refuses bf16, and several processes train apart
        chosen["use_cpu"] = True
    if not config.training.keys() & {"bf16", "fp16"}:
        chosen |= _computed_in(config, device)
    chosen |= config.training | FIXED
    _check_devices(chosen)
    with refusals():
        arguments = TrainingArguments(**chosen)
        # a reporter that is not installed says so when it is made
        for reporter in get_reporting_integration_callbacks(arguments.report_to):
            reporter()
    check_processes(arguments)
    return arguments


def base_type(config: RunConfig, arguments: TrainingArguments, device: torch.device) -> torch.dtype:
    """What a run's base is held in: float32 where its own weights are trained."""
    if METHODS[config.method.name].trains_base:
        return torch.float32
    return frozen_type(config.model.dtype, device, arguments.fp16)


def _computed_in(config: RunConfig, device: torch.device) -> dict[str, bool]:
    """float16 where the weights are asked to be, else what suits the device."""
    native = Capability.of(device).computed_in
    is_half = torch.float16 in (native, DTYPES.get(config.model.dtype))
    return {"fp16": is_half, "bf16": not is_half and native == torch.bfloat16}


@contextmanager
def refusals() -> Iterator[None]:
    """What transformers says of a `training:` section that it cannot take, as a ConfigError."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except (TypeError, ValueError, ImportError, RuntimeError, OSError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"transformers refuses `training:`: {reason}") from None


def _refuse_unused(training: dict[str, Any], evaluates: bool) -> None:
    """Options that this package sets itself, or that would do nothing here."""
    for key, value in FIXED.items():
        if training.get(key, value) != value:
            raise ConfigError(
                f"`training.{key}` is always `{_written(value)}` here, not "
                f"`{_written(training[key])}`.",
                "leave it out",
            )
    for key, instead in ELSEWHERE.items():
        if training.get(key):
            raise ConfigError(f"`training.{key}` does nothing here.", instead)
    sampling = training.get("train_sampling_strategy", SAMPLING[0])
    if sampling not in SAMPLING:
        raise ConfigError(
            f"`training.train_sampling_strategy` cannot be `{sampling}`.",
            f"known: {', '.join(SAMPLING)}; rows of like length: data.batching=length_grouped",
        )
    if training.get("learning_rate") == 0:
        raise ConfigError(
            "`training.learning_rate` is 0: nothing would be learnt.",
            "leave it out: each method has its own",
        )
    metric = training.get("metric_for_best_model")
    if metric not in METRICS:
        raise ConfigError(
            f"`training.metric_for_best_model` cannot be `{metric}`.", "what is measured: loss"
        )


def _refuse_unevaluated(config: RunConfig, evaluates: bool) -> None:
    """What goes by the evaluation loss, where nothing is evaluated."""
    asked = {
        "training.eval_strategy": config.training.get("eval_strategy", "no"),
        "training.load_best_model_at_end": config.training.get("load_best_model_at_end", False),
        "patience": config.patience,
    }
    wanted = {name: value for name, value in asked.items() if value not in ("no", False, None)}
    name = next(iter(wanted), None)
    if name is None:
        return
    if not evaluates:
        raise ConfigError(
            f"`{name}` is `{_written(wanted[name])}`, and no rows are kept for evaluation.",
            "say which: data.evaluation=FILE, or a share of the rows: data.evaluation_share=0.1",
        )
    if config.training.get("eval_strategy") == "no":
        raise ConfigError(
            f"`{name}` is `{_written(wanted[name])}`, and training.eval_strategy is `no`.",
            "leave training.eval_strategy out",
        )
    if _keeps_best(config) and config.training.get("save_strategy") == "no":
        raise ConfigError(
            "The best checkpoint is to be kept, and training.save_strategy=no saves none.",
            "leave training.save_strategy out",
        )


def _refuse_missing(training: dict[str, Any]) -> None:
    """Packages that an option needs and that are not installed."""
    asked = training.get("report_to") or ()
    for tracker in [asked] if isinstance(asked, str) else asked:
        near = get_close_matches(str(tracker), [*TRACKERS], n=1, cutoff=0.8)
        if near and tracker not in TRACKERS:
            raise ConfigError(
                f"`training.report_to` names no tracker `{tracker}`.", f"did you mean `{near[0]}`?"
            )
        if tracker in TRACKERS and not TRACKERS[tracker]():
            raise ConfigError(
                f"`training.report_to={tracker}` needs {tracker}, which is not installed.",
                f"pip install {tracker}",
            )
    if training.get("deepspeed"):
        need("shard", "`training.deepspeed`")


def _keeps_best(config: RunConfig) -> bool:
    asked = config.training.get("load_best_model_at_end", config.patience is not None)
    return bool(asked)


def _best(config: RunConfig) -> dict[str, Any]:
    """A checkpoint at every evaluation, where the best of them is to be kept in the end."""
    if not _keeps_best(config):
        return {}
    given = EVALUATION_DEFAULTS | config.training
    chosen: dict[str, Any] = {"load_best_model_at_end": True}
    # whichever of the two the run file leaves out follows the other
    if not config.training.keys() & {"save_strategy", "save_steps"}:
        chosen |= {"save_strategy": given["eval_strategy"], "save_steps": given["eval_steps"]}
    elif not config.training.keys() & {"eval_strategy", "eval_steps"}:
        strategy = given.get("save_strategy", "steps")
        if strategy != "best":
            chosen |= {"eval_strategy": strategy, "eval_steps": given.get("save_steps", 0.1)}
    return chosen


def _batching(config: RunConfig) -> dict[str, Any]:
    """What `data.batching` means for the Trainer; raises ConfigError where the two disagree."""
    if config.data.batching == "packed" and config.model.attention == "eager":
        raise ConfigError(
            "`model.attention=eager` cannot keep packed rows apart.",
            "leave it out, or take data.batching=length_grouped",
        )
    if not makes_groups(config.data):
        if config.data.batching in ("auto", "padded"):
            return {}
        if "train_sampling_strategy" in config.training:
            raise ConfigError(
                "`training.train_sampling_strategy` is at odds with data.batching=length_grouped.",
                "leave one of the two out",
            )
        return {"train_sampling_strategy": "group_by_length"}
    for side in ("train", "eval"):
        key = f"per_device_{side}_batch_size"
        several = config.training.get(key, 1)
        if several != 1 and (side == "eval" or config.data.batching != "packed"):
            raise ConfigError(
                f"`training.{key}` is `{several}`, and the tokens of a batch are counted instead.",
                "leave it out, and choose data.tokens_per_batch",
            )
    return {"per_device_train_batch_size": 1, "per_device_eval_batch_size": 1}


def _probing(config: RunConfig) -> dict[str, Any]:
    """Checkpoints where questions are asked, unless the run file has a word on checkpoints."""
    own = {*PROBE_DEFAULTS, "save_strategy", "save_steps", "eval_strategy"}
    if not has_probes(config) or own & config.training.keys():
        return {}
    steps = config.training.get("eval_steps", EVALUATION_DEFAULTS["eval_steps"])
    return {**PROBE_DEFAULTS, "save_strategy": "steps", "save_steps": steps}


def has_probes(config: RunConfig) -> bool:
    """Whether a run asks its model questions."""
    return bool(config.probe.files) or config.data.identity is not None


def _streaming(config: RunConfig) -> dict[str, Any]:
    """What streamed rows need of the Trainer; raises ConfigError for what they cannot have."""
    if not config.data.streaming:
        return {}
    if config.training.get("max_steps", -1) < 1:
        raise ConfigError(
            "`data.streaming` does not know how many rows come.",
            "say how many steps to train: training.max_steps=1000",
        )
    for key in ("dataloader_num_workers", "train_sampling_strategy", "accelerator_config"):
        if config.training.get(key):
            raise ConfigError(
                f"`training.{key}` cannot be given with streamed rows.",
                "leave it out; data.shuffle_buffer decides how they are shuffled",
            )
    # each process reads the stream and takes its own batches of it
    return {"accelerator_config": {"dispatch_batches": False}}


def _refuse_reentrant(config: RunConfig) -> None:
    """Checkpointing that does not reach what the method trains."""
    checkpointing = config.training.get("gradient_checkpointing_kwargs") or {}
    if checkpointing.get("use_reentrant") and not METHODS[config.method.name].reentrant:
        raise ConfigError(
            "`training.gradient_checkpointing_kwargs.use_reentrant` is true, and gradients of "
            f"method={config.method.name} do not come through it.",
            "leave it out",
        )


def _written(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _check_devices(chosen: dict[str, Any]) -> None:
    """A GPU for each process."""
    asked, count = int(os.environ.get("LOCAL_WORLD_SIZE", "1")), torch.cuda.device_count()
    if 0 < count < asked and not chosen.get("use_cpu"):
        raise ConfigError(
            f"{asked} processes were started, and there are {count} GPUs.",
            "start one process a GPU, or train on the processor: training.use_cpu=true",
        )
