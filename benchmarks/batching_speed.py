"""Trained tokens a second: rows padded, grouped by length, packed, and as they come, in one run.

    python benchmarks/batching_speed.py [--rows FILE] [--most N] [--tokens N] [--rounds N]

Each way trains the demo model by LoRA on the same rows, once, in batches of at most
so many tokens; `auto`, which counts rows, in batches of as many as a pack holds on
average. Rounds alternate between the ways, and the best of each counts; the baseline
is `padded`: rows in any order, padded to the longest of their batch.
"""

import argparse
import contextlib
import io
import json
import math
import random
import tempfile
from pathlib import Path
from typing import Any

from tuneglm.config import RunConfig, load_config
from tuneglm.data.batches import Groups, batches, slots
from tuneglm.data.encoded import lengths_of
from tuneglm.data.examples import load_examples
from tuneglm.data.mix import EncodedSet
from tuneglm.data.pipeline import encode_data
from tuneglm.demo import MODEL_FOLDER
from tuneglm.demo.corpus import general_rows
from tuneglm.models import family_of
from tuneglm.models.encoder import encoder_of
from tuneglm.models.loading import load_tokenizer
from tuneglm.training import train

WAYS = ("padded", "length_grouped", "packed", "auto")
LONGEST_ANSWER = 24  # of the demo's, one after another


def wide_rows(count: int) -> list[dict[str, Any]]:
    """Rows as unlike in length as those of instruction sets: the demo's, some answers joined."""
    draw, rows = random.Random(0), general_rows()
    return [
        {**row, "output": "\n".join(other["output"] for other in draw.choices(rows, k=k))}
        for row in rows[:count]
        for k in [max(1, min(LONGEST_ANSWER, round(draw.lognormvariate(1.5, 0.8))))]
    ]


def configured(
    way: str, rows: Path, output: Path, given: argparse.Namespace, rows_a_batch: int
) -> RunConfig:
    settings: dict[str, Any] = {
        "model.path": given.model,
        "model.dtype": "float32",
        "data.train": f"[{{path: {rows}, max_rows: {given.most}}}]",
        "data.cutoff": given.cutoff,
        "data.batching": way,
        "training.output_dir": output,
        "training.bf16": "false",
        "training.num_train_epochs": 1,
        "training.save_strategy": "no",
    }
    if way == "auto":
        settings["training.per_device_train_batch_size"] = rows_a_batch
    else:
        settings["data.tokens_per_batch"] = given.tokens
    return load_config(None, [f"{key}={value}" for key, value in settings.items()])


def seconds(config: RunConfig) -> float:
    """Of training alone: without loading, encoding and saving."""
    with contextlib.redirect_stdout(io.StringIO()):
        folder = train(config).folder
    return float(json.loads((folder / "log.jsonl").read_text().splitlines()[-1])["train_runtime"])


def encoded(config: RunConfig) -> EncodedSet:
    folder = Path(config.model.path)
    encoder = encoder_of(config.data, load_tokenizer(folder), family_of(folder))
    return encode_data(load_examples(config.data), encoder, config.data).train


def padding(config: RunConfig, rows: EncodedSet) -> tuple[int, float]:
    """Number of batches, and the share of their slots that holds no token."""
    made = batches(config.data, rows.rows, None).train
    if config.data.batching == "auto":
        return math.ceil(len(made) / config.training["per_device_train_batch_size"]), 0.0
    assert isinstance(made, Groups)
    if config.data.batching == "packed":
        return len(made), 0.0
    return len(made), 1 - rows.tokens / slots(made, lengths_of(rows.rows), config.data)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=Path, help="a file; by default rows of the demo's text")
    parser.add_argument("--most", type=int, default=300, help="rows")
    parser.add_argument("--cutoff", type=int, default=512)
    parser.add_argument("--tokens", type=int, default=2048, help="of a batch")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS, help="the first is 1 ×")
    parser.add_argument("--model", type=Path, default=MODEL_FOLDER)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        file = given.rows
        if file is None:
            file = Path(name) / "rows.json"
            file.write_text(json.dumps(wide_rows(given.most)))
        packed = configured("packed", file, Path(name) / "packed", given, 1)
        rows = encoded(packed)
        rows_a_batch = round(len(rows.rows) / padding(packed, rows)[0])
        configs = {
            way: configured(way, file, Path(name) / way, given, rows_a_batch) for way in given.ways
        }
        best = dict.fromkeys(given.ways, float("inf"))
        for number in range(given.rounds):
            for way in given.ways:
                output = Path(name) / f"{way}_{number}"
                config = configured(way, file, output, given, rows_a_batch)
                best[way] = min(best[way], seconds(config))
        print(f"{len(rows.rows)} rows, {rows.tokens} tokens of which {rows.trained_tokens} trained")
        print(f"{'':16}{'batches':>8}{'padding':>9}{'trained tokens/s':>18}{'ratio':>8}")
        for way in given.ways:
            count, share = padding(configs[way], rows)
            speed, ratio = rows.trained_tokens / best[way], best[given.ways[0]] / best[way]
            print(f"{way:16}{count:8}{share:9.1%}{speed:18,.0f}{ratio:7.2f}×")


if __name__ == "__main__":
    main()
