"""What was found out: figures by contestant, with intervals, in sections of a report."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tuneglm.evaluation.intervals import Figure

Kind = Literal["set", "questions", "suite"]
# of these a lower one is better
LOWER = ("loss", "perplexity")


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    of          rows, questions
    figures     by contestant
    difference  of the first contestant to the second
    is_detail   left to the page, where the terminal has no room
    """

    measure: str
    of: int
    figures: Mapping[str, Figure]
    difference: Figure | None = None
    is_detail: bool = False

    @property
    def is_sure(self) -> bool:
        """Whether the interval of the difference leaves no doubt about its sign."""
        each = self.difference
        if each is None or each.low is None or each.high is None:
            return False
        return each.low > 0 or each.high < 0

    @property
    def is_better(self) -> bool:
        """Whether the difference is one for the better."""
        return self.difference is not None and (self.difference.value > 0) != (
            self.measure in LOWER
        )


@dataclass(frozen=True)
class Example:
    """A row as the page shows it: the end of its prompt, what was expected, what was answered."""

    prompt: str
    label: str
    answers: Mapping[str, str]


@dataclass(frozen=True)
class Note:
    """A sentence above a table, which a page may say in another language.

    template  the sentence, with `{name}` for each of `values`
    """

    template: str
    values: Mapping[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.template.format(**self.values)


@dataclass(frozen=True)
class Section:
    """A set, the questions, or a suite."""

    kind: Kind
    title: str
    findings: Sequence[Finding]
    notes: Sequence[Note] = ()
    examples: Sequence[Example] = ()


@dataclass(frozen=True)
class Report:
    """All sections, of whom, and by which settings."""

    contestants: Mapping[str, str]
    sections: Sequence[Section]
    settings: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """What `report.json` holds; figures that are no numbers are null."""
        return {
            "contestants": dict(self.contestants),
            "settings": dict(self.settings),
            "sections": [
                {
                    "kind": section.kind,
                    "title": section.title,
                    "notes": list(map(str, section.notes)),
                    "findings": [_finding_json(each) for each in section.findings],
                }
                for section in self.sections
            ],
        }


def _finding_json(finding: Finding) -> dict[str, Any]:
    figures = {name: _figure_json(figure) for name, figure in finding.figures.items()}
    difference = None if finding.difference is None else _figure_json(finding.difference)
    return {
        "measure": finding.measure,
        "of": finding.of,
        "figures": figures,
        "difference": difference,
    }


def _figure_json(figure: Figure) -> dict[str, float | None]:
    values = {"value": figure.value, "low": figure.low, "high": figure.high}
    return {
        name: value if value is not None and math.isfinite(value) else None
        for name, value in values.items()
    }
