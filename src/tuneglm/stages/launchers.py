"""Whether a launcher's processes found each other: they train alone without a word if not."""

import os
import re
from contextlib import suppress
from pathlib import Path

from transformers import TrainingArguments

from tuneglm.errors import ConfigError

# what `accelerate launch` gives the one process that it starts, where it was asked for several
MEETING_PLACE = {"ACCELERATE_USE_CPU", "MASTER_ADDR", "MASTER_PORT"}


def check_processes(arguments: TrainingArguments) -> None:
    """As many processes as were asked for train together; raises ConfigError where they do not."""
    asked = int(os.environ.get("WORLD_SIZE", "1"))
    if asked != arguments.world_size:
        raise ConfigError(
            f"{asked} processes were started, but each trains alone.",
            "without a GPU, add training.use_cpu=true",
        )
    if asked == 1 and os.environ.keys() >= MEETING_PLACE and not _one_was_asked_for():
        raise ConfigError(
            "`accelerate launch` was asked for several processes and started one.",
            "start them so: tuneglm train RUN.yaml --processes N; if one is meant: "
            "accelerate launch --num_processes 1",
        )


def _one_was_asked_for() -> bool:
    """Whether the launcher's command line says so: the meeting place is then a cluster's.

    No value in the environment tells: accelerate writes the address that it was given, and
    `ACCELERATE_USE_CPU=False` for two processes on one GPU as for one.
    """
    words = _launcher()
    processes, machines = (
        set(re.findall(rf"\0--num[_-]{what}[=\0](\d+)", words))
        for what in ("processes", "machines")
    )
    return processes == {"1"} and machines <= {"1"}


def _launcher() -> str:
    """What started this process, a NUL before each word; Linux alone tells."""
    with suppress(OSError):
        return Path(f"/proc/{os.getppid()}/cmdline").read_text(errors="replace")
    return ""
