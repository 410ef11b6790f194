"""How long it takes to begin: the help, a config that is refused, and a run's second start.

Each is a command in a process of its own, timed from outside, as whoever types it waits.
"""

import statistics
import subprocess
import sys
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
