"""Runs as the page sees them: a folder each, and whatever is in it."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tuneglm.checkpoints import LOG_FILE, RUN_FILE, is_finished
from tuneglm.config import load_config
from tuneglm.errors import ConfigError, OutputError, UserError
from tuneglm.web.background import Background
from tuneglm.web.files import Workplace

PROCESS = "process"
State = Literal["running", "finished", "failed", "stopped"]
# as `tuneglm train` prints them
_STEPS = re.compile(r"^Steps\s+([\d,]+) ·", re.M)
_MOVED = re.compile(r"^step \d+/(\d+) ·", re.M)


@dataclass(frozen=True)
class Run:
    """The folder of a run, and what can be read of it at this moment."""

    folder: Path

    @property
    def name(self) -> str:
        """The folder's."""
        return self.folder.name

    @property
    def process(self) -> Background:
        """The command that trains it."""
        return Background(self.folder / PROCESS)

    def state(self) -> State:
        """What has become of it."""
        if self.process.is_running():
            return "running"
        if is_finished(self.folder):
            return "finished"
        return "failed" if self.process.error() else "stopped"

    def log(self) -> list[dict[str, Any]]:
        """The entries of log.jsonl; a line that is being written is left out."""
        path = self.folder / LOG_FILE
        if not path.is_file():
            return []
        lines = path.read_text(encoding="utf-8").split("\n")[:-1]
        return [json.loads(line) for line in lines]

    def steps(self) -> int | None:
        """How many it will have; None until it says so."""
        text = self.process.output(most=200_000)
        found = _MOVED.findall(text) or _STEPS.findall(text)
        return int(found[-1].replace(",", "")) if found else None

    def base(self) -> str:
        """The model that it tunes."""
        return load_config(self.folder / RUN_FILE).model.path

    def yaml(self) -> str:
        """Its run file."""
        return (self.folder / RUN_FILE).read_text(encoding="utf-8")


def curve_of(log: Sequence[dict[str, Any]], key: str) -> list[tuple[int, float]]:
    """(step, value) of `loss` or `eval_loss`."""
    return [(entry["step"], entry[key]) for entry in log if key in entry]


def seconds_left(log: Sequence[dict[str, Any]], steps: int | None) -> float | None:
    """At the pace of the last entries; None while there is none."""
    timed = [entry for entry in log if "train_runtime" in entry and "loss" in entry][-20:]
    if steps is None or len(timed) < 2:
        return None
    first, last = timed[0], timed[-1]
    done = last["step"] - first["step"]
    taken = last["train_runtime"] - first["train_runtime"]
    if done <= 0 or taken <= 0:
        return None
    return float(taken / done * max(0, steps - last["step"]))


def runs_of(place: Workplace) -> list[Run]:
    """All of them, the one that something happened to last first."""

    def changed(folder: Path) -> float:
        files = [folder / LOG_FILE, folder / RUN_FILE]
        return max(path.stat().st_mtime for path in files if path.is_file())

    return [Run(folder) for folder in sorted(place.runs(), key=changed, reverse=True)]


def run_of(place: Workplace, name: str) -> Run:
    """The run of that name; raises OutputError where there is none."""
    folder = place.run(name)
    if not (folder / RUN_FILE).is_file():
        raise OutputError(f"There is no run `{name}` here.", "choose one of the list")
    return Run(folder)


def begin(place: Workplace, name: str, yaml: str, at_once: int, at_work: int) -> Run:
    """Write a run file into a new folder and start `tuneglm train` on it.

    at_once, at_work  how many runs may be at work, and how many are

    Raises OutputError for a name that is taken, and where too many runs are at work.
    """
    folder = place.run(name)
    _refuse_too_many(at_once, at_work)
    if folder.exists():
        raise OutputError(f"There is something called `{name}` already.", "choose another name")
    folder.mkdir(parents=True)
    (folder / RUN_FILE).write_text(yaml, encoding="utf-8")
    try:
        load_config(folder / RUN_FILE)
    except UserError:
        (folder / RUN_FILE).unlink()
        folder.rmdir()
        raise
    run = Run(folder)
    run.process.start(train_words(place, name), place.root)
    return run


def go_on(place: Workplace, name: str, at_once: int, at_work: int) -> Run:
    """Start a run that was stopped again; it goes on from its newest checkpoint."""
    run = run_of(place, name)
    if run.state() == "finished":
        raise ConfigError(f"`{name}` is finished.", "begin another run, with another name")
    _refuse_too_many(at_once, at_work)
    run.process.start(train_words(place, name), place.root)
    return run


def train_words(place: Workplace, name: str) -> tuple[str, ...]:
    """The command that trains a run, as it is typed in the workplace."""
    return "train", str(place.run(name).relative_to(place.root) / RUN_FILE)


def stop(place: Workplace, name: str) -> None:
    """Ask a run to save and end; raises OutputError for one that the page did not start."""
    run = run_of(place, name)
    if not run.process.is_running():
        raise OutputError(f"`{name}` is not at work.", "a run of a terminal is stopped there")
    run.process.stop()


def free_name(place: Workplace, wanted: str) -> str:
    """`run` → `run-1`, or the first of `run-2`, … that is not there."""
    number = 1
    while place.run(f"{wanted}-{number}").exists():
        number += 1
    return f"{wanted}-{number}"


def _refuse_too_many(at_once: int, at_work: int) -> None:
    if at_work >= at_once:
        are = "run is" if at_work == 1 else "runs are"
        raise OutputError(
            f"{at_work} {are} at work, and no more than that at once.",
            "wait until one ends, or stop it",
        )
