"""From what each row gave, to figures of one model, or of two and their difference."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from tuneglm.evaluation.findings import Finding
from tuneglm.evaluation.intervals import Change, Figure, PerRow, difference, estimate, share
from tuneglm.evaluation.loss import RowLosses


def loss_findings(losses: Mapping[str, RowLosses], seed: int) -> list[Finding]:
    """Loss and perplexity, over trained tokens; by contestant."""
    rows = {name: PerRow(each.sums, each.tokens) for name, each in losses.items()}
    return [
        _finding("loss", rows, seed),
        _finding("perplexity", rows, seed, np.exp),
    ]


def score_findings(
    scores: Mapping[str, Mapping[str, Sequence[float]]], seed: int, hidden: Sequence[str] = ()
) -> list[Finding]:
    """Means over rows; contestant → score → rows. `hidden` are left to the page."""
    return [
        mean_finding(name, {who: each[name] for who, each in scores.items()}, seed, name in hidden)
        for name in next(iter(scores.values()))
    ]


def mean_finding(
    measure: str, values: Mapping[str, Sequence[float]], seed: int, is_detail: bool = False
) -> Finding:
    """The mean of what each row has; by contestant."""
    rows = {who: PerRow.mean_of(each) for who, each in values.items()}
    return replace(_finding(measure, rows, seed), is_detail=is_detail)


def share_finding(
    measure: str, right: Mapping[str, Sequence[bool]], seed: int, is_detail: bool = False
) -> Finding:
    """Shares of right answers; by contestant."""
    figures = {who: share(each) for who, each in right.items()}
    count = len(next(iter(right.values())))
    rows = {who: PerRow.mean_of([float(one) for one in each]) for who, each in right.items()}
    return Finding(measure, count, figures, _difference(rows, seed), is_detail)


def _finding(
    measure: str, rows: Mapping[str, PerRow], seed: int, change: Change | None = None
) -> Finding:
    changes = {} if change is None else {"change": change}
    figures = {who: estimate(each, seed, **changes) for who, each in rows.items()}
    count = len(next(iter(rows.values())).amounts)
    return Finding(measure, count, figures, _difference(rows, seed, **changes))


def _difference(rows: Mapping[str, PerRow], seed: int, **changes: Change) -> Figure | None:
    if len(rows) < 2:
        return None
    first, second = rows.values()
    return difference(first, second, seed, **changes)
