"""`python src/finetune.py …`: training, evaluation or prediction, as it is asked for."""

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

from tuneglm.cli import SIGNALLED, leave_with
from tuneglm.command_line import importing, no_bars
from tuneglm.errors import ConfigError
from tuneglm.original.house import TOOL, House
from tuneglm.original.reading import Given, read_arguments

if TYPE_CHECKING:
    from tuneglm.original.translation import Translation

# a setting of today's
OWN = re.compile(r"(?:(?:model|data|method|stage|probe|training)\.[\w.]+|resume|memory_check)=")
HELP = f"""Tune a model by the arguments of {TOOL}, each as it was:

  python src/finetune.py --do_train --dataset NAME,NAME --finetuning_type lora --output_dir OUT
  python src/finetune.py --do_predict --dataset NAME --checkpoint_dir OUT --output_dir PREDICTED
  python src/finetune.py arguments.json

Each start prints the tuneglm command that does the same; settings of that (data.train_on=last)
may stand among the arguments. What became of which argument:
docs/en/original.md"""


def finetune(words: Sequence[str], house: House) -> NoReturn:
    """Do what the arguments say, and leave with an exit code."""
    leave_with(lambda: run(words, house))


def run(words: Sequence[str], house: House) -> int:
    """The exit code of a command's words; raises UserError."""
    if not words or words[0] in ("-h", "--help"):
        print(HELP)
        return 0
    words, own = own_settings(words)
    given = read_arguments(words)
    if not given.get("output_dir"):
        raise ConfigError(
            "`--output_dir` is missing.",
            "say where results go; a backslash that goes on with the next line has to be its "
            "line's last character",
        )
    # read when the hub's client is imported
    if given.get("cache_dir"):
        os.environ["HF_HUB_CACHE"] = given["cache_dir"]
    from tuneglm.original.sections import refuse_missing
    from tuneglm.original.translation import job_of, translated

    job = job_of(given)
    refuse_missing(given)
    translation = replace(translated(given, house, job=job, has_gpu=has_gpu()), own=tuple(own))
    no_bars()
    if job == "train":
        return _train(given, translation)
    if os.environ.get("RANK", "0") != "0":
        # one process answers; others would write the same files
        return 0
    from tuneglm.original.judging import judge

    judge(given, translation, job)
    return 0


def own_settings(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """(arguments of old, settings of today's that stand among them)."""
    own = [word for word in words if OWN.match(word)]
    return [word for word in words if not OWN.match(word)], own


def has_gpu() -> bool:
    """Whether float16 is computed in here."""
    with importing():
        import torch

    return torch.cuda.is_available()


def _train(given: Given, translation: "Translation") -> int:
    from tuneglm.config import load_config
    from tuneglm.original.command import command_line, overrides, say

    words = [*overrides(translation.settings), *translation.own]
    config = load_config(None, words)
    processes = os.environ.get("WORLD_SIZE", "1")
    several = ["--processes", processes] if processes != "1" else []
    same = command_line(["train", *words, *several], translation.environment)
    say(translation.remarks, same)
    with importing():
        from tuneglm.original.result_files import write_training_files
        from tuneglm.training import train

    result = train(config)
    if result.stopped_by:
        return SIGNALLED + result.stopped_by
    if result.finished and os.environ.get("RANK", "0") == "0":
        write_training_files(result.folder, given)
    return 0
