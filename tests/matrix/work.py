"""Cells → outcomes: one process, or a pair that is started once, works through many."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from tests.matrix.bases import make_bases
from tests.matrix.cells import Cell
from tests.matrix.running import Outcome, write_rows

ROOT = Path(__file__).parents[2]
SECONDS_BETWEEN_LOOKS = 0.1

Processes = list[subprocess.Popen[bytes]]


def prepare(folder: Path) -> Path:
    """The folder with all that cells need."""
    for name in ("bases", "runs"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    write_rows(folder)
    make_bases(folder / "bases")
    return folder


def work(cells: Sequence[Cell], folder: Path, processes: int) -> Iterator[Outcome]:
    """What becomes of each cell, all of so many processes, in a folder that `prepare` made.

    After a cell that failed the processes are started anew, for those that are left.
    """
    left = {str(cell): cell for cell in cells}
    while left:
        for outcome in _until_one_fails(list(left.values()), folder, processes):
            del left[outcome.cell]
            yield outcome


def _until_one_fails(cells: Sequence[Cell], folder: Path, processes: int) -> Iterator[Outcome]:
    listed, outcomes = folder / f"cells-{processes}.json", folder / f"outcomes-{processes}.jsonl"
    listed.write_text(json.dumps([asdict(cell) for cell in cells]))
    outcomes.write_text("")
    told = 0
    with _started((str(folder), str(listed), str(outcomes)), processes) as started:
        while told < len(cells):
            time.sleep(SECONDS_BETWEEN_LOOKS)
            has_ended = any(process.poll() is not None for process in started)
            lines = outcomes.read_text(encoding="utf-8").split("\n")[:-1]
            for line in lines[told:]:
                outcome = Outcome(**json.loads(line))
                yield outcome
                if outcome.kind == "failed":
                    return
            told = len(lines)
            if has_ended and told < len(cells):
                yield Outcome(str(cells[told]), "failed", "a process ended before its cells did")
                return


@contextmanager
def _started(arguments: Sequence[str], processes: int) -> Iterator[Processes]:
    """The workers, as `tuneglm train --processes` starts its own; they end with the block."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = str(found.getsockname()[1])
    several = {"WORLD_SIZE": str(processes), "LOCAL_WORLD_SIZE": str(processes)}
    several |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    started: Processes = []
    try:
        for rank in range(processes):
            own = several | {"RANK": str(rank), "LOCAL_RANK": str(rank)} if processes > 1 else {}
            started.append(
                subprocess.Popen(
                    [sys.executable, "-m", "tests.matrix.worker", *arguments],
                    cwd=ROOT,
                    env=os.environ | {"OMP_NUM_THREADS": "1"} | own,
                    # kept open as long as this process lives
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            )
        yield started
    finally:
        for process in started:
            process.kill()
            process.communicate()
