"""Speed and memory of training, decoding and starting, against plain transformers and peft.

    python benchmarks/training_speed.py [--quick | --tiny] [--only WORD] [--data FILE]
        [--tokenizers FOLDER]

All sides of a row run on this machine in turns, each in a process of its own (see
training_turns.py); figures are medians of the turns. Speed is in real tokens a second, padding
not counted; memory is the process's highest, above what the leanest process of the race holds
once the model is loaded: what a contender needs beside it is counted as its own.
FILE is Alpaca rows in JSON (by default the demo's own text), FOLDER holds published tokenizers,
one folder a model (by default the demo models'). A KEY=VALUE behind `--` goes to tuneglm.
Linux only; `taskset` chooses the cores.
"""

import argparse
import json
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from machine import machine, machine_words
from training_peers import PEERS, install
from training_race import ContenderError, prepare
from training_sections import SECTIONS, Settings
from training_table import HEADER, Measured, Row

# in a tiny run, which measures no memory, nobody waits until each contender has imported this
OURS = ("tuneglm.training", "tuneglm.generate")


def measured(settings: Settings, only: str) -> Iterator[tuple[str, Measured, float]]:
    """Every section whose name `only` finds, with its seconds; a failure stops no other."""
    for name, section in SECTIONS.items():
        if not re.search(only, name):
            continue
        print(f"{name} …", flush=True)
        started = time.perf_counter()
        try:
            found = section(settings)
        except (ContenderError, RuntimeError, OSError, subprocess.CalledProcessError) as error:
            print(error, flush=True)
            found = Measured(details={"failed": str(error)})
        yield name, found, time.perf_counter() - started


def main() -> None:
    """Read the command line, measure, print the table and write the figures."""
    given, ours = _arguments()
    for name in PEERS if given.install_peers else ():
        install(name)
    prepare(given.threads, OURS if given.tiny else ())
    known = machine(given.threads)
    print(machine_words(known), flush=True)
    folder = Path(tempfile.mkdtemp(prefix="training_speed_"))
    try:
        settings = Settings(
            rounds=given.rounds or (1 if given.quick else 3),
            tokens=50 if given.tiny else 300 if given.quick else 600,
            threads=given.threads,
            quick=given.quick,
            ours=(*(("memory_check=off",) if given.tiny else ()), *ours),
            folder=folder,
            data=given.data,
            tokenizers=given.tokenizers,
            tiny=given.tiny,
        )
        rows, details, begun, total = [], {}, time.perf_counter(), 0.0
        for name, found, seconds in measured(settings, given.only):
            print(f"    {seconds:.0f} s", flush=True)
            rows += found.rows
            details[name] = {**found.details, "seconds": seconds}
            total = time.perf_counter() - begun
            # what is measured is not lost where a later section is stopped
            _write(given.json, {"machine": known, "seconds": total, **details}, rows)
    finally:
        shutil.rmtree(folder)
    print(f"\n| {' | '.join(HEADER)} |\n|---|---|---:|---:|---:|---:|---|")
    for row in rows:
        print(row.words)
    print(f"\n{total / 60:.1f} minutes; all figures: {given.json}")


def _write(file: Path, figures: dict[str, Any], rows: Sequence[Row]) -> None:
    table = [{**asdict(row), "met": row.met} for row in rows]
    file.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({**figures, "table": table}, indent=2, ensure_ascii=False)
    file.write_text(text + "\n", encoding="utf-8")


def _arguments() -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="within three minutes: smaller models, one turn"
    )
    parser.add_argument(
        "--only", default="", help=f"what this expression finds of: {', '.join(SECTIONS)}"
    )
    parser.add_argument(
        "--install-peers", action="store_true", help=f"first: {', '.join(PEERS)}; minutes"
    )
    parser.add_argument("--rounds", type=int, help="turns of each contender")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--data", type=Path, help="Alpaca rows in JSON")
    parser.add_argument("--tokenizers", type=Path, help="published tokenizers, a folder a model")
    parser.add_argument(
        "--json", type=Path, default=Path(__file__).parent / "results" / "training_speed.json"
    )
    parser.add_argument(
        "--tiny",
        action="store_true",
        help="within a minute: shows that every section runs; its figures say nothing",
    )
    parser.add_argument("ours", nargs="*", metavar="KEY=VALUE", help="settings for tuneglm alone")
    given = parser.parse_args()
    given.quick = given.quick or given.tiny
    return given, given.ours


if __name__ == "__main__":
    main()
