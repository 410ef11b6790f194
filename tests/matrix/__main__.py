"""Run every cell of the matrix, and say what became of it: `make matrix`.

    python -m tests.matrix [PART_OF_A_CELL'S_NAME]

One process works through the cells of one, a pair at the same time through those of
two. Ends in 1 where a cell failed; else the table on the pages is written anew.
"""

import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.matrix.cells import CELLS, PROCESSES
from tests.matrix.page import write
from tests.matrix.running import Outcome
from tests.matrix.verdict import fault_of, unequal_pairs
from tests.matrix.work import prepare, work


def main(part: str = "") -> int:
    """Run the cells whose names hold `part`."""
    began = time.monotonic()
    cells = {str(cell): cell for cell in CELLS if part in str(cell)}
    with tempfile.TemporaryDirectory() as name:
        folder = prepare(Path(name))

        def through(processes: int) -> list[Outcome]:
            own = [cell for cell in cells.values() if cell.processes == processes]
            found = []
            for outcome in work(own, folder, processes):
                fault = fault_of(cells[outcome.cell], outcome)
                said = f"  {fault}" if fault else ""
                print(
                    f"{outcome.kind:8} {outcome.seconds:5.1f} s  {outcome.cell}{said}", flush=True
                )
                found.append(outcome)
            return found

        with ThreadPoolExecutor() as threads:
            outcomes = [each for found in threads.map(through, PROCESSES) for each in found]
    faults = [each for each in outcomes if fault_of(cells[each.cell], each)]
    unequal = unequal_pairs(outcomes)
    for name in unequal:
        print(f"two processes trained otherwise than one: {name}")
    counts = Counter(each.kind for each in outcomes)
    print(
        f"{len(outcomes)} cells: {counts['passed']} passed, {counts['refused']} refused, "
        f"{len(faults)} not as they should be; {len(unequal)} pairs of one and two processes "
        f"differ in a loss or a weight; {time.monotonic() - began:.0f} s"
    )
    if faults or unequal:
        return 1
    write()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
