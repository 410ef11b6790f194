"""One of the processes that work through cells, one after another: libraries are imported once.

    python -m tests.matrix.worker FOLDER CELLS.json OUTCOMES.jsonl

The first process adds a line to the outcomes after each cell. A cell that fails in a
way of its own ends the process, for of several the others may be waiting for it.
"""

import json
import logging
import os
import sys
import threading
import traceback
import warnings
from dataclasses import asdict
from pathlib import Path

from tests.matrix.cells import Cell
from tests.matrix.running import Outcome, run_cell


def main(folder: Path, cells: Path, outcomes: Path) -> None:
    """Run the cells in a file."""
    warnings.filterwarnings("ignore")
    for name in ("transformers", "tuneglm"):
        logging.getLogger(name).setLevel(logging.ERROR)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    for values in json.loads(cells.read_text()):
        cell = Cell(**values)
        try:
            outcome = run_cell(cell, folder)
        except BaseException as error:
            traceback.print_exc()
            said = f"{type(error).__name__}: {str(error).strip()[:400]}"
            _write(Outcome(str(cell), "failed", said), outcomes)
            # not by the way out of torch's processes, which wait for each other
            os._exit(1)
        if os.environ.get("RANK", "0") == "0":
            _write(outcome, outcomes)


def _write(outcome: Outcome, outcomes: Path) -> None:
    with outcomes.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(outcome), ensure_ascii=False) + "\n")


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
