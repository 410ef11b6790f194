"""The goals' table of `make bench`: its lines, and what stands behind them."""

from dataclasses import dataclass, field
from typing import Any

from training_race import Result

HEADER = ("work", "against", "ours", "theirs", "measured", "goal", "met")


@dataclass(frozen=True)
class Row:
    """One line of the goals' table.

    value, goal    what is to be at least (`is_least`) or at most the goal
    """

    work: str
    against: str
    ours: str
    theirs: str
    value: float | None
    goal: float
    is_least: bool = True

    @property
    def met(self) -> bool | None:
        """Whether the goal is; None where it could not be measured."""
        if self.value is None:
            return None
        return self.value >= self.goal if self.is_least else self.value <= self.goal

    @property
    def words(self) -> str:
        """As a line of Markdown."""
        sign = "≥" if self.is_least else "≤"
        value = "not measured" if self.value is None else f"{self.value:.2f}"
        met = {None: "?", True: "yes", False: "**no**"}[self.met]
        cells = (self.work, self.against, self.ours, self.theirs, value, f"{sign} {self.goal:g}")
        return f"| {' | '.join((*cells, met))} |"


@dataclass
class Measured:
    """What the sections hand over: lines of the table, and all that is behind them."""

    rows: list[Row] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)


def speed_and_memory(
    work: str, against: str, ours: Result, theirs: Result, speed: float, memory: float
) -> list[Row]:
    """Two lines: how many times faster, and which share of the memory."""
    return [
        Row(
            f"{work}, speed",
            against,
            f"{ours.rate:,.0f}/s",
            f"{theirs.rate:,.0f}/s",
            ours.rate / theirs.rate,
            speed,
        ),
        Row(
            f"{work}, memory",
            against,
            f"{ours.above:,.0f} MiB",
            f"{theirs.above:,.0f} MiB",
            ours.above / theirs.above,
            memory,
            is_least=False,
        ),
    ]
