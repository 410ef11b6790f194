"""Rows of one file that several entries of a run give: perhaps meant, so said and not refused."""

from collections.abc import Iterator, Sequence

import numpy as np

from tuneglm.data.doubts import row_numbers
from tuneglm.data.encoded import Array
from tuneglm.data.example_set import RowProblem
from tuneglm.data.scan import ScannedSet

_TRAINED_TWICE = "leave one of the two out; to count rows twice, one entry with repeats: 2 will do"
_EVALUATED = "evaluate with other rows, or keep some of these: data.evaluation_share=0.1"


def given_twice(sets: Sequence[ScannedSet], trained: int) -> Iterator[RowProblem]:
    """What there is to say of each set that gives rows of an earlier one.

    trained  how many of the sets are trained on; those behind them are evaluated with
    """
    numbers = row_numbers([each.table for each in sets], [each.files for each in sets])
    for number, each in enumerate(sets):
        is_trained = number < trained
        for earlier in range(number if is_trained else trained):
            both = np.flatnonzero(np.isin(numbers[number], numbers[earlier]))
            if len(both):
                yield _problem(each, both, is_trained=is_trained)
                break
    if _all_evaluated(sets, trained, numbers):
        first = next(each for each in sets[:trained] if len(each.table))
        sentence = "every row of data.train is in data.evaluation too: none is left to train on"
        yield RowProblem(first.source(0), sentence, _EVALUATED, "no_rows", is_of_row=False)


def _problem(each: ScannedSet, both: Array, *, is_trained: bool) -> RowProblem:
    more = len(both) - 1
    rows = "this row is" if not more else f"this row and {more:,} more are"
    if is_trained:
        sentence = f"{rows} of an earlier entry of data.train too, and trained on as often"
        return RowProblem(each.source(int(both[0])), sentence, _TRAINED_TWICE, "given_twice")
    sentence = f"{rows} in data.train too: a run evaluates with them and does not train on them"
    return RowProblem(each.source(int(both[0])), sentence, _EVALUATED, "given_twice")


def _all_evaluated(sets: Sequence[ScannedSet], trained: int, numbers: Sequence[Array]) -> bool:
    """Whether no row to train on is left beside those that are evaluated with."""
    held = sets[trained:]
    texts = np.concatenate([np.zeros(0, np.uint64), *(each.table["text"] for each in held)])
    rows = np.concatenate([np.zeros(0, np.uint64), *numbers[trained:]])
    own = list(zip(sets[:trained], numbers, strict=False))
    return any(len(each.table) for each, _ in own) and all(
        (np.isin(each.table["text"], texts) | np.isin(number, rows)).all() for each, number in own
    )
