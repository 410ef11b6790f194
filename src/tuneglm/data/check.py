"""`tuneglm data check`: everything there is against the rows of a run, errors and doubts.

Decided by the functions that decide it in a run (formats, doubts.py), so that a run
stops at the first error, or with `bad_rows: skip` trains on the rows without any.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tuneglm.data.doubts import originals, row_numbers
from tuneglm.data.encoded import Array
from tuneglm.data.example_set import RowProblem
from tuneglm.data.given_twice import given_twice
from tuneglm.data.messages import Source
from tuneglm.data.near import HASHES, NearRows, near_rows
from tuneglm.data.scan import ScannedSet, Scanner, Tell, sets_of
from tuneglm.data_config import DataConfig

Hear = Callable[[RowProblem], None]


@dataclass(frozen=True, eq=False)
class Checked:
    """What a check found.

    sets      the sets that could be read
    problems  each word of PROBLEMS → how often
    apart     those of them that are against a file or a set, and no row
    doubtful  for each set, (rows,) whether there is a doubt about the row
    near      rows that are nearly an earlier one, as places among the rows of all sets
    notes     sentences on the sets and how their files are read
    """

    sets: tuple[ScannedSet, ...]
    problems: Counter[str]
    apart: Counter[str]
    doubtful: tuple[Array, ...]
    near: NearRows
    notes: tuple[str, ...]

    def add(self, problem: RowProblem) -> None:
        """One more, such as one that is known when rows are tokens."""
        _count(problem, self.problems, self.apart)

    @property
    def read(self) -> int:
        """Rows in all."""
        return sum(each.read for each in self.sets)

    @property
    def usable(self) -> int:
        """Rows without an error."""
        return sum(len(each.table) for each in self.sets)

    @property
    def clean(self) -> int:
        """Rows that nothing is against."""
        return sum(int((~each).sum()) for each in self.doubtful)

    def source(self, place: int) -> Source:
        """Where a row came from, by its place among the rows of all sets."""
        for each in self.sets:
            if place < len(each.table):
                return each.source(place)
            place -= len(each.table)
        raise IndexError(place)


def check(config: DataConfig, hear: Hear, tell: Tell = lambda _, __: None) -> Checked:
    """Look at every row of a run's data; `hear` is told each problem.

    Those of a set come in the order of its rows, copies of earlier rows after all sets.
    """
    counts, apart = Counter[str](), Counter[str]()

    def found(problem: RowProblem) -> None:
        _count(problem, counts, apart)
        hear(problem)

    given = sets_of(config, found)
    sets, notes = (*given.train, *given.evaluation), [*given.notes, *given.readings]
    scanned: list[ScannedSet] = []
    for number, examples in enumerate(sets):
        # of a file that a mix names twice everything is said once
        before = [(one.file, one.settings()) for one in sets[:number]]
        is_told = (examples.file, examples.settings()) in before
        scanner = Scanner(examples, (lambda _: None) if is_told else found, wants_sketches=True)
        scanned.append(scanner.scan(tell, notes))
    for problem in given_twice(scanned, len(given.train)):
        found(problem)
    copies = _copies(scanned)
    doubtful = _doubtful(scanned, copies)
    told = tuple(dict.fromkeys(notes))
    checked = Checked(tuple(scanned), counts, apart, doubtful, _near(scanned), told)
    first_rows = np.concatenate([*copies, np.zeros(0, np.int64)])
    for place in np.flatnonzero(first_rows >= 0):
        first = checked.source(int(first_rows[place]))
        sentence = f"the same text as `{first}`"
        found(RowProblem(checked.source(int(place)), sentence, "remove one of them", "duplicate"))
    return checked


def _count(problem: RowProblem, counts: Counter[str], apart: Counter[str]) -> None:
    counts[problem.problem] += 1
    if not problem.is_of_row:
        apart[problem.problem] += 1


def _copies(sets: Sequence[ScannedSet]) -> list[Array]:
    tables = [each.table for each in sets]
    numbers = row_numbers(tables, [each.files for each in sets])
    return originals([table["text"] for table in tables], numbers)


def _doubtful(sets: Sequence[ScannedSet], copies: Sequence[Array]) -> tuple[Array, ...]:
    return tuple(
        (each.table["doubt"] > 0) | (first >= 0) for each, first in zip(sets, copies, strict=True)
    )


def _near(sets: Sequence[ScannedSet]) -> NearRows:
    found = [each.sketches for each in sets]
    texts = [each.table["text"] for each in sets]
    return near_rows(
        np.concatenate([*found, np.zeros((0, HASHES), np.uint32)]),
        np.concatenate([*texts, np.zeros(0, np.uint64)]),
    )
