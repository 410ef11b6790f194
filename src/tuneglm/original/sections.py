"""The sections of a run, each from the flags that bear on it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from tuneglm.errors import ModelError
from tuneglm.hub import looks_like_id
from tuneglm.original.checkpoint import base_named, method_arguments
from tuneglm.original.flags import FLAGS, OPTIMIZERS, SCHEDULERS
from tuneglm.original.house import House, write_registry
from tuneglm.original.reading import Given

Job = Literal["train", "eval", "predict"]
Settings = dict[str, Any]


def checkpoints(given: Given) -> list[str]:
    """The folders that `--checkpoint_dir` names."""
    return [part.strip() for part in given.get("checkpoint_dir", "").split(",") if part.strip()]


def _is_whole(folder: str) -> bool:
    """Whether a checkpoint is a model of its own: what full tuning leaves."""
    path = Path(folder).expanduser()
    if not (path / "config.json").is_file():
        return False
    from tuneglm.models.adapters import is_adapter

    return not is_adapter(path)


def as_trained(given: Given, adapters: Sequence[str], job: Job) -> tuple[Given, list[str]]:
    """A checkpoint that goes on keeps what it was trained with, whatever the command says."""
    if job != "train" or not adapters or not given.get("resume_lora_training", True):
        return given, []
    stored = method_arguments(Path(adapters[-1]).expanduser())
    own = {name: value for name, value in stored.items() if _is_of_method(name)}
    others = {name for name, value in own.items() if given.get(name, value) != value}
    words = [
        f"`--{name} {given[name]}` is passed over: `{adapters[-1]}` was trained with {own[name]}."
        for name in sorted(others)
    ]
    return {**given, **own}, words


def _is_of_method(name: str) -> bool:
    return name == "finetuning_type" or (name in FLAGS and bool(FLAGS[name].method))


def refuse_missing(given: Given) -> None:
    """Raises ModelError for a checkpoint that is not here."""
    for folder in checkpoints(given):
        if not Path(folder).expanduser().is_dir() and not looks_like_id(folder):
            raise ModelError(
                f"There is no checkpoint `{folder}`.",
                "`--checkpoint_dir` is the `--output_dir` of a training, or several with commas",
            )


def model_section(given: Given, adapters: Sequence[str], house: House, job: Job) -> Settings:
    """Which model, and the checkpoints on it."""
    if len(adapters) == 1 and _is_whole(adapters[0]):
        return {"model.path": adapters[0]}
    found: Settings = {"model.path": given.get("model_name_or_path") or _base(adapters, house)}
    if not adapters:
        return found
    found["model.adapters"] = list(adapters)
    if job == "train" and given.get("resume_lora_training", True):
        found["model.continue_last"] = True
    return found


def _base(adapters: Sequence[str], house: House) -> str:
    """The model of checkpoints where nobody names it: the folder that they say, if it is there."""
    bases = [base_named(Path(adapter).expanduser()) for adapter in adapters]
    there = [base for base in bases if base and Path(base).is_dir()]
    if there:
        return there[-1]
    return house.model if house.is_edited else next(filter(None, reversed(bases)), house.model)


def data_section(given: Given, house: House, job: Job) -> Settings:
    """The sets: of a training those that are trained on, else those that are judged on."""
    named = given.get("dataset", FLAGS["dataset"].default)
    names = [part.strip() for part in named.split(",") if part.strip()]
    folder = house.data_folder(given.get("dataset_dir", FLAGS["dataset_dir"].default))
    found: Settings = {} if folder == FLAGS["dataset_dir"].default else {"data.dir": folder}
    registry = write_registry(house, names, folder)
    if registry is not None:
        found["data.registry"] = registry
    limit = given.get("max_samples")
    limit = given.get("max_train_samples" if job == "train" else "max_eval_samples", limit)
    key = "data.train" if job == "train" else "data.evaluation"
    found[key] = names if limit is None else [_limited(name, limit) for name in names]
    if given.get("group_by_length") or given.get("sortish_sampler"):
        found["data.batching"] = "length_grouped"
    return found


def _limited(name: str, limit: Any) -> dict[str, Any]:
    kind = "path" if "/" in name or "\\" in name else "name"
    return {kind: name, "max_rows": limit}


def by_table(given: Given, method: str | None) -> Settings:
    """What the table hands on: of a method's flags those of the one that is chosen.

    A job that trains nothing has use for the model and the data alone.
    """
    found: Settings = {}
    for name, flag in FLAGS.items():
        if not flag.key or (flag.method and flag.method != method):
            continue
        if method is None and flag.key.partition(".")[0] not in ("model", "data"):
            continue
        value = given.get(name, flag.default)
        if value is not None and flag.key not in found and flag.key != "model.path":
            found[flag.key] = _listed(flag.key, value)
    return found


def _listed(key: str, value: Any) -> Any:
    names = ("method.targets", "method.modules", "training.report_to")
    if key not in names or not isinstance(value, str) or (key == names[2] and "," not in value):
        return value
    return [part.strip() for part in value.split(",") if part.strip()]


def training_section(given: Given, has_gpu: bool | None) -> Settings:
    """What translation of `TrainingArguments` is more than another name."""
    found: Settings = {}
    for name, value in given.items():
        if name not in FLAGS:
            found[f"training.{name}"] = value
    scheduler = given.get("lr_scheduler_type", FLAGS["lr_scheduler_type"].default)
    found["training.lr_scheduler_type"] = SCHEDULERS.get(scheduler, scheduler)
    if given.get("optim") in OPTIMIZERS:
        found["training.optim"] = OPTIMIZERS[given["optim"]]
    if given.get("adafactor"):
        found["training.optim"] = "adafactor"
    if given.get("warmup_ratio") and not given.get("warmup_steps"):
        # below 1 it is a share of all steps
        found["training.warmup_steps"] = given["warmup_ratio"]
    if "fp16" in given and (has_gpu is not False or not given["fp16"]):
        found["training.fp16"] = given["fp16"]
    resumed = given.get("resume_from_checkpoint", "true")
    if resumed.lower() not in ("true", "false"):
        found["resume"] = resumed
    return found
