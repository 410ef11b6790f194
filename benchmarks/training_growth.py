"""How the cost of training grows: tokens a second against one size after another, with plots.

    python benchmarks/training_growth.py [--only WORD] [--output FOLDER] [--quick] [--rounds N]

LoRA by `tuneglm train`, packed, on a small model of random weights; of each line all sizes
work in turns, three of them, and runs of one and of two processes one after the other. All of it
takes a quarter of an hour on one core.
The exponent is the slope of seconds a token over the size, both as logarithms: 0 where a token
costs the same at any size, 1 where its cost grows as the size does. What mathematics allows
stands in growth_sweeps.py, and how far a measured exponent may be above it in
growth_verdict.py. Where one is further above, or the turns differ too much to tell, its sweep is
named at the end and the exit code is 1.
Plots of `context` have both kinds of mask: one row a pack, and rows of 128 tokens.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from growth_sweeps import Line, Point, Sweep, exponent, step_tokens, sweeps
from growth_verdict import TURNS, Verdict, verdicts
from machine import machine, machine_words, whole_cores
from training_contenders import Job, contend
from training_race import Contender, Result, prepare, race
from training_shapes import build_model

TURN = 2_000  # tokens of a turn, at least, and one step
STEPS = 12  # of a run that is a command of its own


def run(sweep: Sweep, folder: Path, rounds: int, threads: int) -> dict[str, list[Result]]:
    """Line → a result for each of its points, all in turns."""
    found = {}
    for name, line in sweep.lines.items():
        jobs = {point.size: _job(point, folder, threads) for point in line.points}
        if sweep.name == "processes":
            results = runs(jobs, rounds)
        else:
            results = race(list(_contenders(line, jobs)), rounds, 0, of_one_model=False)
        found[name] = [results[str(size)] for size in line.sizes]
        for size, result in zip(line.sizes, found[name], strict=True):
            print(
                f"    {sweep.name:10} {name:36} {size:8,} {result.rate:10,.0f} tokens/s "
                f"{result.above:8,.0f} MiB",
                flush=True,
            )
    return found


def _contenders(line: Line, jobs: dict[int, Job]) -> Iterator[Contender]:
    for point in line.points:
        work = max(TURN, step_tokens(point))
        yield Contender(str(point.size), contend, ("ours", jobs[point.size]), work=work)


def runs(jobs: dict[int, Job], rounds: int) -> dict[str, Result]:
    """Number of processes → tokens a second of each of them, by runs of the command line."""
    found = {str(count): Result() for count in jobs}
    for _ in range(rounds):
        for count, job in jobs.items():
            found[str(count)].rates.append(_rate_of_run(job, count))
    return found


def _rate_of_run(job: Job, processes: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "run"
        command = (
            *(sys.executable, "-m", "tuneglm", "train", "--processes", str(processes)),
            *(f"model.path={job.model}", f"data.train={job.data}", *job.settings),
            *(f"training.output_dir={output}", f"training.max_steps={STEPS}"),
            *("model.dtype=float32", "training.bf16=false", "training.save_strategy=no"),
        )
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        lines = (output / "log.jsonl").read_text(encoding="utf-8").splitlines()
    ended = next(each for each in map(json.loads, reversed(lines)) if "train_runtime" in each)
    return float(ended["num_input_tokens_seen"] / ended["train_runtime"] / processes)


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


def judged(sweep: Sweep, found: dict[str, list[Result]]) -> dict[str, list[Verdict]]:
    """Line → what is found of it and of its end."""
    return {
        name: list(
            verdicts(
                f"{sweep.name} {name}".rstrip(),
                line.most,
                line.sizes,
                [[1 / rate for rate in result.rates] for result in found[name]],
            )
        )
        for name, line in sweep.lines.items()
    }


def draw(sweep: Sweep, found: dict[str, list[Result]], file: Path) -> None:
    """A plot of both logarithms, with the exponent of each line."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for name, results in found.items():
        line = sweep.lines[name]
        rates = [result.rate for result in results]
        slope = exponent(line.sizes, [1 / rate for rate in rates])
        label = f"{name}: " if name else ""
        axes.plot(line.sizes, rates, "o-", label=f"{label}a token's time ~ size^{slope:.2f}")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:,.0f}")
        axis.set_minor_formatter("{x:,.0f}")
    axes.set_xlabel(sweep.axis)
    axes.set_ylabel("tokens a second")
    most = max(line.most for line in sweep.lines.values())
    axes.set_title(f"{sweep.name}: at most {most:g} by mathematics")
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend()
    figure.savefig(file, dpi=120)


def as_json(
    sweep: Sweep, found: dict[str, list[Result]], told: dict[str, list[Verdict]]
) -> dict[str, Any]:
    """All figures of a sweep."""
    return {
        name: {
            "exponent": told[name][0].exponent,
            "most": line.most,
            "judged": [
                {
                    "what": each.what,
                    "exponent": each.exponent,
                    "turns": each.turns,
                    "tolerance": each.tolerance,
                    "fault": each.fault,
                }
                for each in told[name]
            ],
            "sizes": line.sizes,
            "results": [result.as_json() for result in found[name]],
        }
        for name, line in sweep.lines.items()
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="a part of a sweep's name")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "growth")
    parser.add_argument("--rounds", type=int, help=f"turns of each size, {TURNS} where not said")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--quick", action="store_true", help="contexts to 2,048 only; one turn, which judges none"
    )
    return parser.parse_args()


def main() -> None:
    """Measure, draw, print, and end with 1 where a cost grows faster than its mathematics."""
    given = _arguments()
    rounds = given.rounds or (1 if given.quick else TURNS)
    prepare(given.threads)
    known = machine(given.threads)
    print(machine_words(known), flush=True)
    given.output.mkdir(parents=True, exist_ok=True)
    figures: dict[str, Any] = {"machine": known}
    faults: list[str] = []
    folder = Path(tempfile.mkdtemp(prefix="training_growth_"))
    try:
        for sweep in sweeps(given.quick, given.threads, whole_cores()):
            if given.only not in sweep.name:
                continue
            found = run(sweep, folder, rounds, given.threads)
            draw(sweep, found, given.output / f"{sweep.name}.png")
            told = judged(sweep, found)
            figures[sweep.name] = as_json(sweep, found, told)
            each = [verdict for line in told.values() for verdict in line]
            print(*(verdict.words for verdict in each), sep="\n", flush=True)
            faults += [f"{verdict.what}: {verdict.fault}" for verdict in each if verdict.fault]
    finally:
        shutil.rmtree(folder)
    text = json.dumps(figures, indent=2, ensure_ascii=False)
    (given.output / "growth.json").write_text(text + "\n", encoding="utf-8")
    print(f"plots and figures: {given.output}")
    if faults:
        sys.exit("\n".join(("Not as mathematics has it:", *faults)))


if __name__ == "__main__":
    main()
