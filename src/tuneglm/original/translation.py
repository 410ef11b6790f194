"""The flags that were given → a run: its settings, key by key, and remarks on what differs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tuneglm.errors import ConfigError
from tuneglm.original.checkpoint import base_named, method_arguments
from tuneglm.original.flags import FINETUNING_TYPES, FLAGS, OPTIMIZERS, SCHEDULERS
from tuneglm.original.house import House, write_registry
from tuneglm.original.reading import Given, known_flag

Job = Literal["train", "eval", "predict"]
JOBS: tuple[Job, ...] = ("train", "eval", "predict")
Settings = dict[str, Any]


@dataclass(frozen=True)
class Translation:
    """What a command of old means today.

    settings     key of a run → value
    remarks      what is passed over, or is not as it was
    environment  variables that the libraries read
    """

    settings: Settings
    remarks: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


def job_of(given: Given) -> Job:
    """Which of the three is asked for; `--do_train --do_eval` is a training that evaluates."""
    asked = [job for job in JOBS if given.get(f"do_{job}")]
    if asked == ["train", "eval"] and given.get("dev_ratio"):
        return "train"
    if len(asked) == 1:
        return asked[0]
    if not asked:
        raise ConfigError("Nothing is asked for.", "add --do_train, --do_eval or --do_predict")
    raise ConfigError(
        f"`--do_{asked[0]}` and `--do_{asked[1]}` are asked for at once.",
        "give one of --do_train, --do_eval and --do_predict; --do_train evaluates with --dev_ratio",
    )


def translated(given: Given, house: House, *, job: Job, has_gpu: bool | None) -> Translation:
    """The run that the flags describe.

    has_gpu  None: not known, it will be another machine's run
    Raises ConfigError for a flag that asks for what is not here, with the reason.
    """
    for name, value in given.items():
        _refuse(name, value)
    remarks = list(_passed_over(given))
    adapters = _adapters(given)
    given, kept = _as_trained(given, adapters, job)
    method = _method(given, job)
    settings = _model(given, adapters, house, job)
    settings |= _data(given, house, job)
    if job == "train":
        settings |= {"method.name": method}
    settings |= _by_table(given, method if job == "train" else None)
    if job == "train":
        settings |= _training(given, has_gpu)
    remarks += kept
    remarks += _float16(given, has_gpu)
    environment = {"HF_HUB_CACHE": given["cache_dir"]} if given.get("cache_dir") else {}
    return Translation(settings, tuple(remarks), environment)


def _refuse(name: str, value: Any) -> None:
    refused = known_flag(name)[0].refused
    if refused is not None and value not in known_flag(name)[0].harmless:
        reason, remedy = refused
        raise ConfigError(f"`--{name} {value}` cannot be had: {reason}.", remedy)


def _passed_over(given: Given) -> Iterator[str]:
    for name in given:
        reason = known_flag(name)[0].needless
        if reason:
            yield f"`--{name}` is passed over: {reason}."
    if given.get("lr_scheduler_type") in SCHEDULERS:
        named = given["lr_scheduler_type"]
        yield f"`--lr_scheduler_type {named}` is taken for `{SCHEDULERS[named]}`."
    if given.get("optim") in OPTIMIZERS:
        yield f"`--optim {given['optim']}` is `{OPTIMIZERS[given['optim']]}` today."


def _float16(given: Given, has_gpu: bool | None) -> Iterator[str]:
    if given.get("fp16") and has_gpu is False:
        yield "`--fp16` is passed over: no GPU is here, and a processor has its own best type."


def _method(given: Given, job: Job) -> str:
    named = given.get("finetuning_type", FLAGS["finetuning_type"].default)
    method = FINETUNING_TYPES.get(named.lower().replace("-", "_"))
    if method is None:
        raise ConfigError(
            f"There is no finetuning_type `{named}`.", "known: lora, freeze, p_tuning, full"
        )
    if method == "none" and job == "train":
        raise ConfigError(
            "With `--finetuning_type none` there is nothing to train.",
            "take lora, freeze, p_tuning or full",
        )
    return method


def _adapters(given: Given) -> list[str]:
    return [part.strip() for part in given.get("checkpoint_dir", "").split(",") if part.strip()]


def _is_whole(folder: str) -> bool:
    """Whether a checkpoint is a model of its own: what full tuning leaves."""
    path = Path(folder).expanduser()
    if not (path / "config.json").is_file():
        return False
    from tuneglm.models.adapters import is_adapter

    return not is_adapter(path)


def _as_trained(given: Given, adapters: Sequence[str], job: Job) -> tuple[Given, list[str]]:
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


def _model(given: Given, adapters: Sequence[str], house: House, job: Job) -> Settings:
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


def _data(given: Given, house: House, job: Job) -> Settings:
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


def _by_table(given: Given, method: str | None) -> Settings:
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


def _training(given: Given, has_gpu: bool | None) -> Settings:
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
