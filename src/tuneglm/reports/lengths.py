"""How long rows are in tokens, as the terminal and a picture show it, and what a cutoff cuts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from tuneglm.data.lengths import FEW, Lengths, cutoff_for, histogram
from tuneglm.errors import OutputError
from tuneglm.reports.terminal import plain, rows_of

CHINESE_FONTS = ("Noto Sans CJK SC", "Source Han Sans SC", "Microsoft YaHei", "PingFang SC")
DRAWN_BARS = 64
_PARTS = " ▏▎▍▌▋▊▉█"
_BAR_WIDTH = 40


def print_lengths(terminal: Console, lengths: Lengths) -> None:
    """A histogram of a set's rows in tokens, and what the cutoff does to them."""
    terminal.print(f"\n[bold]{plain(lengths.name)}[/]: tokens a row")
    bars = histogram(lengths)
    most = max((bar.rows for bar in bars), default=0)
    names = [f"{bar.start:,}–{bar.end - 1:,}" if bar.end else f"{bar.start:,}–" for bar in bars]
    width = max(map(len, names), default=0)
    for bar, name in zip(bars, names, strict=True):
        over = "yellow" if bar.start >= lengths.rule.cutoff else "green"
        terminal.print(
            f"  {name:>{width}} [{over}]{_drawn(bar.rows / max(1, most))}[/] {bar.rows:,}"
        )
    terminal.print(f"  {cutoff_sentence(lengths)}")


def cutoff_sentence(lengths: Lengths) -> str:
    """What this cutoff cuts, and which would cut next to nothing."""
    count = max(1, lengths.count)
    few = cutoff_for(lengths)
    would = f"; data.cutoff={few} would cut {FEW:.0%}" if few else ""
    if few is not None and few <= lengths.rule.cutoff:
        would = f"; {few} would be enough for {1 - FEW:.0%} of the rows"
    dropped = f", {lengths.dropped:,} of them do not fit at all" if lengths.dropped else ""
    return (
        f"{lengths.rule.limit}: cuts {rows_of(lengths.cut)} ({lengths.cut / count:.1%})"
        f"{dropped}, the answer of {lengths.answers_cut:,} ({lengths.answers_cut / count:.1%})"
        f"{would}{_divided(lengths)}"
    )


def _divided(lengths: Lengths) -> str:
    """That an answer is a row of its own, where the model's family has it so."""
    given = int((~lengths.lost).sum())
    if not len(lengths.lost) or lengths.count <= given:
        return ""
    return f" (of a conversation each answer is a row here: {lengths.count:,} of {rows_of(given)})"


def _drawn(share: float) -> str:
    """A bar, in eighths of a character; what is not nothing is seen."""
    eighths = max(round(share * _BAR_WIDTH * 8), 1 if share else 0)
    whole, rest = divmod(eighths, 8)
    return "█" * whole + (_PARTS[rest] if rest else "")


def draw_lengths(path: Path, sets: Sequence[Lengths]) -> None:
    """The histograms of all sets, one under the other, as a PNG."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 1 + 2.6 * max(1, len(sets))), dpi=144, layout="constrained")
    FigureCanvasAgg(figure)
    with rc_context({"font.family": ["DejaVu Sans", *_chinese_fonts()]}):
        for number, lengths in enumerate(sets, 1):
            _draw_set(figure.add_subplot(len(sets), 1, number), lengths)
    try:
        figure.savefig(path, format="png")
    except OSError as error:
        raise OutputError(f"`{path}` cannot be written: {error.strerror}.") from None


def _chinese_fonts() -> list[str]:
    """Those of this machine that a set's name may need."""
    from matplotlib.font_manager import fontManager

    known = {font.name for font in fontManager.ttflist}
    return [name for name in CHINESE_FONTS if name in known]


def _draw_set(axes: Any, lengths: Lengths) -> None:
    bars = histogram(lengths, DRAWN_BARS)
    width = (bars[0].end or 1) if bars else 1
    starts = [bar.start for bar in bars]
    axes.bar(starts, [bar.rows for bar in bars], width=0.94 * width, align="edge", color="#5b9bd0")
    few = cutoff_for(lengths)
    end = len(bars) * width
    longest = lengths.rule.cutoff
    lines = [(longest, "#d1495b", "-", f"longest row {longest:,}")]
    if few:
        lines.append((few, "#555555", ":", f"cuts {FEW:.0%}: {few:,}"))
    # a cutoff far beyond all rows is named, and not drawn
    shown = max(end, *(place for place, *_ in lines if place <= 1.5 * end), 1)
    for place, colour, style, label in lines:
        beyond = " (beyond)" if place > shown else ""
        axes.axvline(place, color=colour, linestyle=style, label=label + beyond)
    axes.set_xlim(0, shown * 1.01)
    rest = "; the last bar holds all longer ones" if bars and bars[-1].end is None else ""
    axes.set_xlabel(f"tokens a row{rest}")
    axes.set_ylabel("rows")
    axes.set_title(
        f"{lengths.name}: {lengths.count:,} rows, {lengths.cut:,} cut", loc="left", fontsize=10
    )
    axes.grid(axis="y", alpha=0.25)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
