"""Columns that only some rows have and nothing reads: told of, for a name may be misspelt."""

import difflib
from collections import Counter
from collections.abc import Iterable
from itertools import chain

from tuneglm.data.columns import listed, printable
from tuneglm.data.example_set import ExampleSet
from tuneglm.data.files import RawRow
from tuneglm.data.formats import FORMATS

ALIKE = 0.8
MOST = 50  # columns; rows whose keys are no columns have any number of them


def unused_in(examples: ExampleSet, rows: Iterable[RawRow]) -> Counter[str]:
    """Column → number of these rows that have it; those that are read left out."""
    values = (row.value for row in rows if isinstance(row.value, dict))
    counts = Counter(chain.from_iterable(values))
    for known in examples.read_columns:
        counts.pop(known, None)
    return most(counts)


def most(counts: Counter[str]) -> Counter[str]:
    """The columns of most rows."""
    return counts if len(counts) <= MOST else Counter(dict(counts.most_common(MOST)))


def unused_note(examples: ExampleSet, counts: Counter[str]) -> str | None:
    """A sentence for the person at the terminal, where there is such a column.

    What the line on how the file is read says is not said again; a set without that line is
    read as a person, or a registry, said.
    """
    left = [each for each in counts.most_common() if each[0] not in examples.unused]
    if not left or not examples.reading:
        return None
    named = [_described(examples, *each) for each in left]
    return f"`{examples.name}`: not used, for only some rows have it: {listed(named)}."


def _described(examples: ExampleSet, column: str, rows: int) -> str:
    known = FORMATS[examples.format].columns
    near = difflib.get_close_matches(column.lower(), known, n=1, cutoff=ALIKE)
    meant = f": did you mean `{near[0]}`?" if near else ""
    return f"`{printable(column)}` ({rows:,} row{'' if rows == 1 else 's'}{meant})"
