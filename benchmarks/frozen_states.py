"""Freeze with the frozen layers' states kept on the disk, and computed in every step, in turns.

    python benchmarks/frozen_states.py [--layers 12 28] [--hidden 256] [--rows N] [--rounds N]

The last three layers are trained for three epochs, float32. Tokens a second of training and of
all that comes before its first step for the states' sake: counting, trying, making them. A model's
weights are random; rows are the demo's, as unlike in length as those of instruction sets.
"""

import argparse
import contextlib
import io
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from batching_speed import wide_rows
from machine import machine, machine_words
from training_shapes import Shape, build_model

from tuneglm import training
from tuneglm.config import load_config
from tuneglm.demo import MODEL_FOLDER

VOCABULARY, EPOCHS, TRAINED = 8_192, 3, 3
WAYS = {"auto": "kept", "off": "computed in every step"}


def measured(model: Path, rows: Path, output: Path, way: str) -> tuple[float, float]:
    """Tokens a second, and the last loss."""
    settings = {
        "model.path": model,
        "model.dtype": "float32",
        "data.train": rows,
        "data.cutoff": 512,
        "method.name": "freeze",
        "method.layers": TRAINED,
        "method.frozen_states": way,
        "training.output_dir": output,
        "training.bf16": "false",
        "training.num_train_epochs": EPOCHS,
        "training.per_device_train_batch_size": 8,
        "training.save_strategy": "no",
        "memory_check": "off",
    }
    config = load_config(None, [f"{key}={value}" for key, value in settings.items()])
    before, keep = [0.0], training.keep_frozen_states

    def timed(*given: Any) -> None:
        begun = time.perf_counter()
        keep(*given)
        before.append(time.perf_counter() - begun)

    with contextlib.redirect_stdout(io.StringIO()) as printed, in_place_of(timed, keep):
        result = training.train(config)
    assert ("computed once" in printed.getvalue()) == (way == "auto")
    entries = [json.loads(line) for line in (result.folder / "log.jsonl").open()]
    seconds = sum(before) + entries[-1]["train_runtime"]
    assert result.loss is not None
    return max(entry.get("num_input_tokens_seen", 0) for entry in entries) / seconds, result.loss


@contextlib.contextmanager
def in_place_of(other: Callable[..., None], own: Callable[..., None]) -> Iterator[None]:
    """Within it a run calls the one in place of the other."""
    training.keep_frozen_states = other
    try:
        yield
    finally:
        training.keep_frozen_states = own


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, nargs="+", default=[12, 28])
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--rows", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    print(machine_words(machine(given.threads)), flush=True)
    print(f"| layers | {' | '.join(WAYS.values())} | ratio | losses differ by |")
    print("|---|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as name:
        rows = Path(name) / "rows.json"
        rows.write_text(json.dumps(wide_rows(given.rows)), encoding="utf-8")
        for layers in given.layers:
            model = Path(name) / f"model-{layers}"
            build_model(
                Shape("", "chatglm3", given.hidden, layers, VOCABULARY), model, MODEL_FOLDER
            )
            found: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
            for turn in range(given.rounds):
                for way in WAYS:
                    output = Path(name) / f"{layers}-{way}-{turn}"
                    found[way].append(measured(model, rows, output, way))
            speeds = [statistics.median(speed for speed, _ in found[way]) for way in WAYS]
            losses = [found[way][0][1] for way in WAYS]
            apart = abs(losses[0] - losses[1]) / losses[1]
            cells = " | ".join(f"{speed:,.0f}/s" for speed in speeds)
            print(
                f"| {layers} | {cells} | {speeds[0] / speeds[1]:.2f} × | {apart:.1e} |", flush=True
            )


if __name__ == "__main__":
    main()
