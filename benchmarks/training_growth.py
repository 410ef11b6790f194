"""How the cost of training grows: tokens a second against one size after another, with plots.

    python benchmarks/training_growth.py [--only WORD] [--output FOLDER] [--quick]

LoRA by `tuneglm train`, packed, on a small model of random weights; of each sweep all sizes
work in turns, and runs of one and of two processes one after the other. The exponent is the
slope of seconds a token over the size, both as logarithms: 0 where a token costs the same at
any size, 1 where its cost grows as the size does. Attention alone may make it grow with the
context, and layers, rank and vocabulary with themselves.
Plots of `context` have both kinds of mask: one row a pack, and rows of 128 tokens.
"""

import argparse
import json
import math
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from machine import machine, machine_words
from training_contenders import Job, contend
from training_race import Contender, Result, prepare, race
from training_shapes import SHAPES, Shape, build_model

CONTEXTS = (256, 512, 1024, 2048, 4096, 8192)
SMALL = replace(SHAPES["A"], hidden=256, layers=4, vocabulary=8_192)
SHORT = 128  # tokens of a short row
STEPS = 30  # of a run that is a command of its own


@dataclass(frozen=True)
class Point:
    """One run of a sweep: the size on the axis, the model, its rows and settings."""

    size: int
    shape: Shape
    row: int
    settings: tuple[str, ...]


@dataclass(frozen=True)
class Sweep:
    """A plot: lines by name, each with its points; `most` is the exponent that mathematics has."""

    name: str
    axis: str
    most: float
    lines: dict[str, tuple[Point, ...]]


def sweeps(quick: bool) -> Iterator[Sweep]:
    """All of them; each size doubles from point to point."""
    contexts = CONTEXTS[:4] if quick else CONTEXTS
    yield Sweep(
        "context",
        "tokens of a pack",
        1,
        {
            "causal, one row a pack": tuple(_packed(size, size) for size in contexts),
            "causal, rows of 128": tuple(_packed(size, SHORT) for size in contexts),
            "prefix (ChatGLM-6B), one row a pack": tuple(
                _packed(size, size, "chatglm") for size in contexts
            ),
            "prefix (ChatGLM-6B), rows of 128": tuple(
                _packed(size, SHORT, "chatglm") for size in contexts
            ),
        },
    )
    yield Sweep(
        "batch",
        "packs of 512 a step",
        0,
        {
            "": tuple(
                replace(
                    _packed(512, SHORT),
                    size=size,
                    settings=(
                        *_packed(512, SHORT).settings,
                        f"training.per_device_train_batch_size={size}",
                    ),
                )
                for size in (1, 2, 4, 8)
            )
        },
    )
    yield Sweep(
        "rank",
        "rank",
        1,
        {"": tuple(_set(size, f"method.rank={size}") for size in (4, 8, 16, 32, 64, 128))},
    )
    # a step has as many packs for each process: two do twice the work, in as long a time
    yield Sweep("processes", "processes", 0, {"": tuple(_set(size) for size in (1, 2))})
    yield Sweep(
        "vocabulary",
        "tokens of the vocabulary",
        1,
        {
            "": tuple(
                _shaped(size, vocabulary=size) for size in (8_192, 16_384, 32_768, 65_536, 131_072)
            )
        },
    )
    yield Sweep(
        "layers", "layers", 1, {"": tuple(_shaped(size, layers=size) for size in (2, 4, 8, 16))}
    )


def _packed(tokens: int, row: int, family: str = "chatglm3") -> Point:
    settings = (
        "data.batching=packed",
        f"data.tokens_per_batch={tokens}",
        f"data.cutoff={min(tokens, row)}",
        "training.per_device_train_batch_size=1",
    )
    return Point(tokens, replace(SMALL, family=family), row, settings)


def _set(size: int, *settings: str) -> Point:
    basis = _packed(1024, SHORT)
    return replace(basis, size=size, settings=(*basis.settings, *settings))


def _shaped(size: int, **sizes: int) -> Point:
    basis = _packed(1024, SHORT)
    return replace(basis, size=size, shape=replace(basis.shape, **sizes))


def exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """Slope of the straight line through the logarithms of both."""
    x, y = [math.log(each) for each in sizes], [math.log(each) for each in seconds]
    middle, height = sum(x) / len(x), sum(y) / len(y)
    above = sum((a - middle) * (b - height) for a, b in zip(x, y, strict=True))
    return above / sum((a - middle) ** 2 for a in x)


def run(sweep: Sweep, folder: Path, rounds: int, threads: int) -> dict[str, list[Result]]:
    """Line → a result for each of its points, all in turns."""
    found = {}
    for name, points in sweep.lines.items():
        contenders = [
            Contender(
                str(point.size),
                contend,
                ("ours", _job(point, folder, threads)),
                # two steps at least
                work=2 * _step_tokens(point),
            )
            for point in points
        ]
        if sweep.name == "processes":
            results = runs([(point.size, _job(point, folder, threads)) for point in points], rounds)
        else:
            results = race(contenders, rounds, 0)
        found[name] = [results[str(point.size)] for point in points]
        for point, result in zip(points, found[name], strict=True):
            print(
                f"    {sweep.name:10} {name:36} {point.size:8,} {result.rate:10,.0f} tokens/s "
                f"{result.above:8,.0f} MiB",
                flush=True,
            )
    return found


def runs(jobs: Sequence[tuple[int, Job]], rounds: int) -> dict[str, Result]:
    """Number of processes → tokens a second of each of them, by runs of the command line."""
    found = {str(count): Result() for count, _ in jobs}
    for _ in range(rounds):
        for count, job in jobs:
            with tempfile.TemporaryDirectory() as folder:
                output = Path(folder) / "run"
                command = (
                    *(sys.executable, "-m", "tuneglm", "train", "--processes", str(count)),
                    *(f"model.path={job.model}", f"data.train={job.data}", *job.settings),
                    *(f"training.output_dir={output}", f"training.max_steps={STEPS}"),
                    *("model.dtype=float32", "training.bf16=false", "training.save_strategy=no"),
                )
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
                lines = (output / "log.jsonl").read_text(encoding="utf-8").splitlines()
            ended = next(
                each for each in map(json.loads, reversed(lines)) if "train_runtime" in each
            )
            rate = ended["num_input_tokens_seen"] / ended["train_runtime"] / count
            found[str(count)].rates.append(rate)
    return found


def _step_tokens(point: Point) -> int:
    values = dict(setting.split("=") for setting in point.settings)
    packs = int(values["training.per_device_train_batch_size"])
    return packs * int(values["data.tokens_per_batch"]) * 9 // 10


def _job(point: Point, folder: Path, threads: int) -> Job:
    from tuneglm.demo import model_folder

    shape = point.shape
    model = folder / f"{shape.family}_{shape.hidden}_{shape.layers}_{shape.vocabulary}"
    if not model.is_dir():
        build_model(shape, model, model_folder(shape.family))
    data = folder / f"rows_{point.row}.json"
    if not data.is_file():
        # longer than the cutoff in every vocabulary: each row has exactly its tokens
        row = {"instruction": "请写一段话。", "output": "今天天气很好，" * point.row}
        rows = [{**row, "instruction": f"{row['instruction']}{number}"} for number in range(256)]
        data.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    settings = (*point.settings, "memory_check=off", "data.over_cutoff=truncate_answer")
    return Job(str(model), str(data), "", threads=threads, settings=settings)


def draw(sweep: Sweep, found: dict[str, list[Result]], file: Path) -> dict[str, float]:
    """A plot of both logarithms; the exponent of each line."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    exponents = {}
    for name, results in found.items():
        sizes = [point.size for point in sweep.lines[name]]
        rates = [result.rate for result in results]
        exponents[name] = exponent(sizes, [1 / rate for rate in rates])
        label = f"{name}: " if name else ""
        axes.plot(sizes, rates, "o-", label=f"{label}a token's time ~ size^{exponents[name]:.2f}")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:,.0f}")
        axis.set_minor_formatter("{x:,.0f}")
    axes.set_xlabel(sweep.axis)
    axes.set_ylabel("tokens a second")
    axes.set_title(f"{sweep.name}: at most {sweep.most:g} by mathematics")
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend()
    figure.savefig(file, dpi=120)
    return exponents


def main() -> None:
    """Measure, draw and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="a part of a sweep's name")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "growth")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="contexts to 2,048 only, one round")
    given = parser.parse_args()
    prepare(given.threads)
    known = machine(given.threads)
    print(machine_words(known), flush=True)
    given.output.mkdir(parents=True, exist_ok=True)
    figures: dict[str, Any] = {"machine": known}
    folder = Path(tempfile.mkdtemp(prefix="training_growth_"))
    try:
        for sweep in sweeps(given.quick):
            if given.only in sweep.name:
                found = run(sweep, folder, 1 if given.quick else given.rounds, given.threads)
                exponents = draw(sweep, found, given.output / f"{sweep.name}.png")
                figures[sweep.name] = {
                    name: {
                        "exponent": exponents[name],
                        "sizes": [point.size for point in sweep.lines[name]],
                        "results": [result.as_json() for result in results],
                    }
                    for name, results in found.items()
                }
                for name, value in exponents.items():
                    print(f"{sweep.name} {name}: exponent {value:.2f}, at most {sweep.most:g}")
    finally:
        shutil.rmtree(folder)
    text = json.dumps(figures, indent=2, ensure_ascii=False)
    (given.output / "growth.json").write_text(text + "\n", encoding="utf-8")
    print(f"plots and figures: {given.output}")


if __name__ == "__main__":
    main()
