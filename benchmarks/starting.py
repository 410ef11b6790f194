"""How long it takes to begin: the help, a config that is refused, and a run's second start.

    python benchmarks/starting.py MODEL [--data FILE] [--rows N]   where a second start's time goes

Each is a command in a process of its own, timed from outside, as whoever types it waits.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROWS = 50_000
# the first step begins; what follows is training
FIRST_STEP = """
import os, sys
from transformers import TrainerCallback, trainer
class Told(TrainerCallback):
    def on_step_begin(self, args, state, control, **named):
        os._exit(7)
trainer.DEFAULT_CALLBACKS.append(Told)
from tuneglm.cli import main
sys.argv[0] = "tuneglm"
main()
"""
# what is begun with, in its order: names of tuneglm.training
PARTS = {
    "family_of": "the family",
    "load_tokenizer": "the tokenizer",
    "_prepared": "rows, and what the Trainer is told",
    "_planned": "the plan",
    "base_model": "the model",
    "tune": "the method",
}
TIMED = """
import time
begun = time.perf_counter()
import json, os, sys
from functools import wraps
from transformers import TrainerCallback, trainer
from tuneglm import training
seconds = {"imports": time.perf_counter() - begun}
def timed(name):
    work = getattr(training, name)
    @wraps(work)
    def call(*given, **named):
        before = time.perf_counter()
        try:
            return work(*given, **named)
        finally:
            seconds[name] = seconds.get(name, 0) + time.perf_counter() - before
    setattr(training, name, call)
for name in sys.argv.pop(1).split(","):
    timed(name)
class Told(TrainerCallback):
    def on_step_begin(self, args, state, control, **named):
        print("parts", json.dumps(seconds | {"all": time.perf_counter() - begun}), flush=True)
        os._exit(7)
trainer.DEFAULT_CALLBACKS.append(Told)
from tuneglm.cli import main
sys.argv[0] = "tuneglm"
main()
"""
LOADING = """
import sys
from tuneglm.models.loading import load_model
load_model(sys.argv[1], dtype="float32")
"""
BEGUN = 7


def help_seconds(times: int) -> float:
    """`tuneglm --help`."""
    return _median([sys.executable, "-m", "tuneglm", "--help"], times, expected=0)


def refusal_seconds(model: Path, times: int) -> float:
    """`tuneglm train` with a key that is not known, to the sentence that says so."""
    line = [sys.executable, "-m", "tuneglm", "train", f"model.path={model}", "data.trian=x.json"]
    return _median(line, times, expected=None)


def second_start(
    model: Path, folder: Path, data: Path | None, rows: int, times: int
) -> tuple[float, float, float]:
    """Seconds to the first step, the first time and again; and of loading the model alone.

    The last two take turns.
    """
    # here, since contenders' processes import this file and are to be without tuneglm
    from encoding_speed import source, synthesise

    folder.mkdir()
    file = folder / "rows.jsonl"
    synthesise(file, rows, source(data))

    def start(number: int) -> list[str]:
        settings = [
            f"model.path={model}",
            "model.dtype=float32",
            "training.bf16=false",
            f"data.train={file}",
            f"data.cache={folder / 'cache'}",
            f"training.output_dir={folder / f'run_{number}'}",
        ]
        return [sys.executable, "-c", FIRST_STEP, "train", *settings]

    first = _seconds(start(0), BEGUN)
    loading = [sys.executable, "-c", LOADING, str(model)]
    again, alone = [], []
    for number in range(1, times + 1):
        again.append(_seconds(start(number), BEGUN))
        alone.append(_seconds(loading, 0))
    return first, statistics.median(again), statistics.median(alone)


def parts_of_start(
    model: Path, folder: Path, data: Path | None, rows: int, times: int
) -> dict[str, float]:
    """Seconds of each part of a second start, medians; `all` without the interpreter's own."""
    from encoding_speed import source, synthesise

    file = folder / "rows.jsonl"
    synthesise(file, rows, source(data))
    found = []
    for number in range(times + 1):
        line = [
            *(sys.executable, "-c", TIMED, ",".join(PARTS), "train", f"model.path={model}"),
            *("model.dtype=float32", "training.bf16=false", f"data.train={file}"),
            *(f"data.cache={folder / 'cache'}", f"training.output_dir={folder / f'run_{number}'}"),
        ]
        done = subprocess.run(line, capture_output=True, text=True, check=False)
        told = next(each for each in done.stdout.splitlines() if each.startswith("parts "))
        found.append(json.loads(told.removeprefix("parts ")))
    # the first made what the others find
    return {name: statistics.median(each[name] for each in found[1:]) for name in found[0]}


def main() -> None:
    """Print where the time of a second start goes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", type=Path, help="a JSON file of Alpaca rows")
    parser.add_argument("--rows", type=int, default=ROWS, help="%(default)s")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        found = parts_of_start(given.model, Path(place), given.data, given.rows, times=3)
    rest = found.pop("all") - sum(found.values())
    for name, seconds in (*found.items(), ("the Trainer, and all else", rest)):
        print(f"{seconds:6.2f} s  {PARTS.get(name, name)}")


def _median(line: Sequence[str], times: int, expected: int | None) -> float:
    _seconds(line, expected)  # files are read once before
    return statistics.median(_seconds(line, expected) for _ in range(times))


def _seconds(line: Sequence[str], expected: int | None) -> float:
    started = time.perf_counter()
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    wrong = done.returncode == 0 if expected is None else done.returncode != expected
    if wrong:
        shown = f"{' '.join(line)}\n{done.stdout}{done.stderr}"
        raise RuntimeError(f"ended with {done.returncode}: {shown[-3000:]}")
    return seconds


if __name__ == "__main__":
    main()
