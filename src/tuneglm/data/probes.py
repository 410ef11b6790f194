"""Questions with what has to be in the answers, and what must not: how far tuning has come.

[{"question": "Who made you?", "asks": "author", "expects": ["北斗实验室"], "rejects": []}]
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuneglm.data.json_faults import told_of
from tuneglm.errors import DataError

OTHER = "other"  # asks for neither name nor author
LISTS = ("expects", "rejects")


@dataclass(frozen=True)
class Probe:
    """A question; `asks` is the kind under which its answers are counted."""

    question: str
    asks: str = OTHER
    language: str = ""
    expects: tuple[str, ...] = ()
    rejects: tuple[str, ...] = ()

    def fulfilled_by(self, answer: str) -> bool:
        """Whether an answer holds one of `expects`, where there are any, and none of `rejects`."""
        text = answer.casefold()
        if any(word.casefold() in text for word in self.rejects):
            return False
        return not self.expects or any(word.casefold() in text for word in self.expects)


def read_probes(path: Path) -> list[Probe]:
    """The questions of a file; raises DataError where it is none, with the number of the row."""
    try:
        rows = json.loads(path.expanduser().read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(
            f"The questions `{path}` cannot be read: {error.strerror}.",
            "look at probe.files, or at --probes",
        ) from None
    except json.JSONDecodeError as error:
        told, remedy = told_of(error)
        raise DataError(f"`{path}` is not readable JSON: {told}.", remedy) from None
    except UnicodeDecodeError:
        raise DataError(f"`{path}` is not in UTF-8.", "save it in UTF-8") from None
    if not isinstance(rows, list) or not rows:
        raise DataError(f"`{path}` holds no questions.", "expected a list [{…}, {…}]")
    return [_probe(path, number, row) for number, row in enumerate(rows, 1)]


def some_of_each(probes: Sequence[Probe], count: int | None) -> list[Probe]:
    """Of each kind so many, spread over all of it; None: all."""
    kinds = dict.fromkeys(probe.asks for probe in probes)
    chosen = []
    for kind in kinds:
        own = [probe for probe in probes if probe.asks == kind]
        wanted = min(count or len(own), len(own))
        chosen += [own[place * len(own) // wanted] for place in range(wanted)]
    return chosen


def _probe(path: Path, number: int, row: Any) -> Probe:
    if isinstance(row, dict):
        # one text is a list of one
        row = row | {name: [row[name]] for name in LISTS if isinstance(row.get(name), str)}
    problem = _problem(row)
    if problem:
        raise DataError(
            f"Row {number} of `{path}` {problem}.",
            'a question is written so: {"question": …, "asks": …, "expects": […], "rejects": […]}',
        )
    return Probe(**row | {name: tuple(row.get(name, ())) for name in LISTS})


def _problem(row: Any) -> str:
    if not isinstance(row, dict) or not isinstance(row.get("question"), str):
        return "has no `question`"
    unknown = sorted(row.keys() - set(Probe.__dataclass_fields__))
    if unknown:
        return f"has an unknown `{unknown[0]}`"
    for name in LISTS:
        words = row.get(name, [])
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            return f"has no list of texts as `{name}`"
    if not all(isinstance(row.get(name, ""), str) for name in ("asks", "language")):
        return "has no text as `asks` or `language`"
    if not any(row.get(name) for name in LISTS):
        return "has neither `expects` nor `rejects`"
    return ""
