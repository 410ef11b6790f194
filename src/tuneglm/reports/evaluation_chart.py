"""The picture of an evaluation: a panel a section, bars with their intervals."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tuneglm.evaluation.findings import LOWER, Finding, Report, Section
from tuneglm.reports.evaluation_words import ENGLISH, Words

COLOURS = ("#1f6fb2", "#b8c4ce")
# a name that Chinese letters are drawn with, where the machine has it
FONTS = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Source Han Sans SC",
    "PingFang SC",
    "Microsoft YaHei",
    "WenQuanYi Zen Hei",
    "SimHei",
)
Panel = tuple[Section, str, list[Finding]]  # of one section, what has one scale, and its unit
INCHES_A_BAR, INCHES_A_PANEL = 0.19, 0.85


def draw_evaluation(path: Path, report: Report, words: Words = ENGLISH) -> None:
    """A panel for each section's figures between 0 and 100, and one for losses, as a PNG.

    In English where the machine has no font for Chinese.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    words = words if len(_fonts()) > 1 else ENGLISH
    panels = [panel for section in report.sections for panel in _panels(section)]
    who = list(report.contestants)
    heights = [INCHES_A_PANEL + INCHES_A_BAR * len(each[2]) * (len(who) + 0.5) for each in panels]
    with matplotlib.rc_context({"font.family": _fonts(), "font.size": 9}):
        figure = Figure(figsize=(7, sum(heights) + 0.3), dpi=144, layout="constrained")
        FigureCanvasAgg(figure)
        grid = figure.subplots(
            len(panels), 1, squeeze=False, gridspec_kw={"height_ratios": heights}
        )
        for axes, panel in zip(grid[:, 0], panels, strict=True):
            _draw(axes, panel, who, words)
        if len(who) > 1:
            handles, labels = grid[0, 0].get_legend_handles_labels()
            figure.legend(handles, labels, loc="outside upper right", frameon=False, ncols=2)
        figure.savefig(path)


def _panels(section: Section) -> list[Panel]:
    """What has one scale goes into one panel."""
    shown = [each for each in section.findings if not each.is_detail]
    if section.kind != "set":
        return [(section, "right answers, %", shown)]
    losses = [each for each in shown if each.measure == "loss"]
    scores = [each for each in shown if each.measure not in LOWER]
    panels = [(section, "nats a token: lower is better", losses)]
    return panels + ([(section, "0 to 100", scores)] if scores else [])


def _draw(axes: Any, panel: Panel, who: Sequence[str], words: Words) -> None:
    section, unit, findings = panel
    scale = 1 if section.kind == "set" else 100
    height = 0.8 / len(who)
    for number, name in enumerate(who):
        figures = [each.figures[name] for each in findings]
        values = [scale * each.value for each in figures]
        places = [place + (number - (len(who) - 1) / 2) * height for place in range(len(findings))]
        # percentiles of few rows may leave the value itself outside
        below = [max(0.0, scale * (each.value - _or(each.low, each.value))) for each in figures]
        above = [max(0.0, scale * (_or(each.high, each.value) - each.value)) for each in figures]
        axes.barh(
            places,
            values,
            height,
            xerr=[below, above],
            color=COLOURS[number],
            ecolor="#444444",
            capsize=2,
            error_kw={"elinewidth": 0.8},
            label=words(name),
        )
    axes.set_yticks(range(len(findings)), [_drawable(words(each.measure)) for each in findings])
    axes.invert_yaxis()
    axes.set_xlim(left=0, right=100 if scale == 100 else None)
    axes.set_title(_drawable(words(section.title)), loc="left", fontweight="bold")
    axes.set_xlabel(words(unit))
    axes.grid(axis="x", alpha=0.25)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _or(value: float | None, instead: float) -> float:
    return instead if value is None else value


def _fonts() -> list[str]:
    """matplotlib's own, and behind it what has Chinese letters."""
    from matplotlib.font_manager import fontManager

    present = {font.name for font in fontManager.ttflist}
    return ["DejaVu Sans", *[name for name in FONTS if name in present][:1]]


def _drawable(text: str) -> str:
    """A name as it can be drawn: where no font has its letters, an ellipsis stands for them."""
    text = text.replace("$", r"\$")
    if len(_fonts()) > 1:
        return text
    return "".join(letter if ord(letter) < 0x250 else "…" for letter in text)
