"""What became of the rows of a set, beside those that were encoded."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field
from typing import Any

from tuneglm.data.examples import RowProblem
from tuneglm.data.messages import Source

LISTED_PROBLEMS = 1000


@dataclass(frozen=True, eq=False)
class Counts:
    """What became of a set's rows.

    columns       those of the renamed ones that were seen
    placeholders  text → number of rows that still hold it
    """

    dropped: int = 0
    untrained: int = 0
    problems: tuple[RowProblem, ...] = ()
    skipped: int = 0
    seen: frozenset[str] = frozenset()
    placeholders: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.dropped + other.dropped,
            self.untrained + other.untrained,
            (*self.problems, *other.problems)[:LISTED_PROBLEMS],
            self.skipped + other.skipped,
            self.seen | other.seen,
            self.placeholders + other.placeholders,
        )

    def as_json(self) -> dict[str, Any]:
        """As JSON can hold it; `counts_of` reads it back."""
        problems = [
            [*astuple(one.source), one.sentence, one.remedy, one.problem] for one in self.problems
        ]
        return {
            "dropped": self.dropped,
            "untrained": self.untrained,
            "problems": problems,
            "skipped": self.skipped,
            "seen": sorted(self.seen),
            "placeholders": self.placeholders,
        }


def counts_of(held: Mapping[str, Any]) -> Counts:
    """What `as_json` gave; nothing is no rows at all."""
    if not held:
        return Counts()
    problems = tuple(
        RowProblem(Source(*source), sentence, remedy, problem)
        for *source, sentence, remedy, problem in held["problems"]
    )
    return Counts(
        held["dropped"],
        held["untrained"],
        problems,
        held["skipped"],
        frozenset(held["seen"]),
        Counter(held["placeholders"]),
    )
