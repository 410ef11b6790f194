"""The flags that were given → a run: its settings, key by key, and remarks on what differs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tuneglm.errors import ConfigError
from tuneglm.original.flags import FINETUNING_TYPES, FLAGS, OPTIMIZERS, SCHEDULERS
from tuneglm.original.house import House
from tuneglm.original.reading import Given, known_flag
from tuneglm.original.sections import (
    Job,
    Settings,
    as_trained,
    by_table,
    checkpoints,
    data_section,
    model_section,
    training_section,
)

JOBS: tuple[Job, ...] = ("train", "eval", "predict")


@dataclass(frozen=True)
class Translation:
    """What a command of old means today.

    settings     key of a run → value
    remarks      what is passed over, or is not as it was
    environment  variables that the libraries read
    own          settings of today's that were given as such
    """

    settings: Settings
    remarks: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    own: tuple[str, ...] = ()


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
    adapters = checkpoints(given)
    given, kept = as_trained(given, adapters, job)
    method = _method(given, job)
    settings = model_section(given, adapters, house, job)
    settings |= data_section(given, house, job)
    if job == "train":
        settings |= {"method.name": method}
    settings |= by_table(given, method if job == "train" else None)
    if job == "train":
        settings |= training_section(given, has_gpu)
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
