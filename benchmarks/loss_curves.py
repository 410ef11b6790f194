"""Whether bfloat16 learns as float32 does: 300 steps of each, against what a seed changes.

The demo model, so that there is something to learn; the same rows in the same order. Two runs
in float32 that differ in the adapter's first values alone say how much is noise.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

STEPS, AVERAGED = 300, 20


def difference_to_noise(data: Path, folder: Path, threads: int) -> tuple[float, float]:
    """Mean distance of the curve in bfloat16 from that in float32; and between two seeds."""
    whole, other, half = (
        _curve(data, folder / name, dtype, seed, threads)
        for name, dtype, seed in (
            ("whole", "float32", 0),
            ("other", "float32", 1),
            ("half", "bfloat16", 0),
        )
    )
    return _distance(half, whole), _distance(other, whole)


def _curve(data: Path, output: Path, dtype: str, seed: int, threads: int) -> list[float]:
    """Losses, each the mean of so many steps."""
    from tuneglm.demo import MODEL_FOLDER

    settings = {
        "model.path": MODEL_FOLDER,
        "model.dtype": dtype,
        "data.train": data,
        "data.cutoff": 96,
        "memory_check": "off",
        "training.bf16": str(dtype == "bfloat16").lower(),
        "training.per_device_train_batch_size": 2,
        "training.max_steps": STEPS,
        "training.logging_steps": AVERAGED,
        "training.save_strategy": "no",
        "training.seed": seed,
        "training.data_seed": 0,
        "training.output_dir": output,
    }
    line = [sys.executable, "-m", "tuneglm", "train", *(f"{k}={v}" for k, v in settings.items())]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    subprocess.run(line, check=True, capture_output=True, env=environment)
    entries = [json.loads(text) for text in (output / "log.jsonl").read_text().splitlines()]
    return [entry["loss"] for entry in entries if "loss" in entry]


def _distance(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(abs(a - b) for a, b in zip(one, other, strict=True)) / len(one)
