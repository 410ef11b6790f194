"""What became of the rows of a set, beside those that were encoded."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field
from typing import Any

from tuneglm.data.example_set import RowProblem
from tuneglm.data.messages import Source
from tuneglm.data.unused import most

LISTED_PROBLEMS = 1000


@dataclass(frozen=True, eq=False)
class Counts:
    """What became of a set's rows.

    left_out      the first of those that were dropped, or hold nothing to train
    columns       those of the renamed ones that were seen
    placeholders  text → number of rows that still hold it
    unused        column that only some rows have, and nothing reads → number of those rows
    """

    dropped: int = 0
    untrained: int = 0
    left_out: tuple[RowProblem, ...] = ()
    problems: tuple[RowProblem, ...] = ()
    skipped: int = 0
    seen: frozenset[str] = frozenset()
    placeholders: Counter[str] = field(default_factory=Counter)
    unused: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.dropped + other.dropped,
            self.untrained + other.untrained,
            (*self.left_out, *other.left_out)[:LISTED_PROBLEMS],
            (*self.problems, *other.problems)[:LISTED_PROBLEMS],
            self.skipped + other.skipped,
            self.seen | other.seen,
            self.placeholders + other.placeholders,
            most(self.unused + other.unused),
        )

    def as_json(self) -> dict[str, Any]:
        """As JSON can hold it; `counts_of` reads it back."""
        return {
            "dropped": self.dropped,
            "untrained": self.untrained,
            "left_out": _as_lists(self.left_out),
            "problems": _as_lists(self.problems),
            "skipped": self.skipped,
            "seen": sorted(self.seen),
            "placeholders": dict(self.placeholders),
            "unused": dict(self.unused),
        }


def counts_of(held: Mapping[str, Any]) -> Counts:
    """What `as_json` gave; nothing is no rows at all."""
    if not held:
        return Counts()
    return Counts(
        held["dropped"],
        held["untrained"],
        _from_lists(held["left_out"]),
        _from_lists(held["problems"]),
        held["skipped"],
        frozenset(held["seen"]),
        Counter(held["placeholders"]),
        Counter(held["unused"]),
    )


def _as_lists(problems: Sequence[RowProblem]) -> list[list[Any]]:
    return [[*astuple(one.source), one.sentence, one.remedy, one.problem] for one in problems]


def _from_lists(held: Sequence[Sequence[Any]]) -> tuple[RowProblem, ...]:
    return tuple(
        RowProblem(Source(*source), sentence, remedy, problem)
        for *source, sentence, remedy, problem in held
    )
