"""The losses of runs as a drawing: lines that stretch to any width, and words that do not."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from tuneglm.reports.figures import smoothed

# of the runs, in order: readable on light and on dark, and told apart by people who see few colours
COLOURS = ("#2f7fc1", "#e07b39", "#2a9d73", "#b565c4", "#c9a227", "#7b8794")
CROWDED = 20
_WIDTH, _HEIGHT = 1000, 300


@dataclass(frozen=True)
class Line:
    """A run's losses: (step, value) of training, and of evaluation."""

    name: str
    training: Sequence[tuple[int, float]]
    evaluation: Sequence[tuple[int, float]] = ()


def drawn(lines: Sequence[Line], *, step: str, evaluation: str, empty: str) -> str:
    """The curves of runs, as HTML; `step`, `evaluation` and `empty` are words to show."""
    shown = [line for line in lines if line.training or line.evaluation]
    if not shown:
        return f'<div class="empty">{escape(empty)}</div>'
    points = [point for line in shown for point in (*line.training, *line.evaluation)]
    last = max(1, *(place for place, _ in points))
    top = _round_up(max(value for _, value in points))
    paths = "".join(
        _paths(line, COLOURS[number % len(COLOURS)], last, top) for number, line in enumerate(shown)
    )
    rules = "".join(
        f'<line x1="0" x2="{_WIDTH}" y1="{y}" y2="{y}" class="rule"/>'
        for y in (0, _HEIGHT // 2, _HEIGHT)
    )
    legend = "".join(
        f'<span><i style="background:{COLOURS[number % len(COLOURS)]}"></i>{escape(line.name)}'
        f"{_last_values(line, evaluation)}</span>"
        for number, line in enumerate(shown)
    )
    return (
        f'<div class="curve" data-points="{len(points)}"><div class="legend">{legend}</div>'
        f'<div class="plot"><div class="values"><span>{top:g}</span><span>{top / 2:g}</span>'
        f'<span>0</span></div><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" preserveAspectRatio="none">'
        f'{rules}{paths}</svg></div><div class="steps"><span>0</span><span>{escape(step)}</span>'
        f"<span>{last:,}</span></div></div>"
    )


def _paths(line: Line, colour: str, last: int, top: float) -> str:
    training = list(line.training)
    faint = ""
    if len(training) > CROWDED:
        faint = _path(training, colour, last, top, "faint")
        means = smoothed(tuple(value for _, value in training))
        training = [(step, mean) for (step, _), mean in zip(training, means, strict=True)]
    return (
        faint
        + _path(training, colour, last, top, "training")
        + _path(line.evaluation, colour, last, top, "evaluation")
    )


def _path(
    points: Sequence[tuple[int, float]], colour: str, last: int, top: float, kind: str
) -> str:
    if not points:
        return ""
    places = " ".join(
        f"{step / last * _WIDTH:.1f},{_HEIGHT - min(value / top, 1) * _HEIGHT:.1f}"
        for step, value in points
    )
    # a single point is a line of no length, which round ends make visible
    places += " " + places if len(points) == 1 else ""
    return f'<polyline class="{kind}" points="{places}" stroke="{colour}"/>'


def _last_values(line: Line, evaluation: str) -> str:
    parts = [f"{line.training[-1][1]:.4g}"] if line.training else []
    parts += [f"{escape(evaluation)} {line.evaluation[-1][1]:.4g}"] if line.evaluation else []
    return f" <b>{' · '.join(parts)}</b>"


def _round_up(value: float) -> float:
    """The next of 1, 1.5, 2, 3, 4, 6, 8, 10, … that is no smaller: its half is short to write."""
    size = 1e-6
    while True:
        for factor in (1, 1.5, 2, 3, 4, 6, 8):
            if value <= size * factor:
                return size * factor
        size *= 10
