"""What `tuneglm data check` and `data stats` print: problems by file, lengths, tables."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from tuneglm.data.check import Checked, check
from tuneglm.data.examples import RowProblem
from tuneglm.data.lengths import FEW, Lengths, cutoff_for, histogram, length_notes, measured
from tuneglm.data.problems import PROBLEMS, severity_of
from tuneglm.data.stats import SetStats, stats
from tuneglm.data_config import DataConfig
from tuneglm.data_report import EncodingProgress, print_readings
from tuneglm.errors import OutputError
from tuneglm.terminal import console, plain

if TYPE_CHECKING:
    from tuneglm.models.encoder import ModelEncoder  # imports torch

PROBLEMS_FOUND = 1

CHINESE_FONTS = ("Noto Sans CJK SC", "Source Han Sans SC", "Microsoft YaHei", "PingFang SC")
DRAWN_BARS = 64
LISTED = 20
NEAR_LISTED = 3
KINDS_LISTED = 8
_COLOURS = {"error": "red", "doubt": "yellow", "note": "cyan"}
_PARTS = " ▏▎▍▌▋▊▉█"
_BAR_WIDTH = 40


def problem_json(problem: RowProblem) -> str:
    """A problem as one line of JSON."""
    record = {
        "file": problem.source.file,
        "line": problem.source.line,
        "problem": problem.problem,
        "message": problem.sentence,
        "row": problem.source.row,
        "remedy": problem.remedy,
        "severity": severity_of(problem.problem),
        "set": problem.source.dataset,
    }
    return json.dumps(record, ensure_ascii=False)


def report_check(
    config: DataConfig, model: "ModelEncoder | None", *, as_json: bool, png: str | None
) -> int:
    """Check the data of a run and print what there is against it; the command's exit code."""
    listed = ProblemList()
    hear = _print_problem if as_json else listed.hear
    # what is printed for programs stays apart from what is printed for people
    terminal, progress = console(stderr=as_json), console(stderr=True)
    with EncodingProgress(progress, "Reading") as tell:
        checked = check(config, hear, tell)
    lengths: list[Lengths] = []
    if model is not None:
        ends = model.family.end_tokens(model.tokenizer)
        with EncodingProgress(progress) as tell:
            lengths = measured(checked.sets, model.encoder, ends, config, tell)
    for gone in (one for each in lengths for one in each.gone):
        hear(gone)
        if severity_of(gone.problem) == "error":
            checked.problems[gone.problem] += 1
    listed.print(terminal)
    print_checked(terminal, checked)
    for each in lengths:
        print_lengths(terminal, each)
        if as_json:
            doubtful = checked.doubtful[checked.sets.index(each.scanned)]
            for note in length_notes(each, doubtful):
                _print_problem(note)
    if png is not None:
        draw_lengths(Path(png), lengths)
        terminal.print(f"[green]Saved[/]  {plain(png)}")
    return PROBLEMS_FOUND if checked.problems else 0


def report_stats(config: DataConfig, model: "ModelEncoder | None", *, as_json: bool) -> None:
    """Print figures of each set of a run."""
    with EncodingProgress(console(stderr=True), "Reading") as tell:
        found = stats(config, model.encoder if model else None, tell)
    if as_json:
        for each in found.sets:
            print(json.dumps(each.as_json(), ensure_ascii=False))
        return
    terminal = console()
    print_readings(terminal, found.notes)
    print_stats(terminal, found.sets)
    if any(each.unusable for each in found.sets):
        terminal.print("Rows that cannot be used are not counted; `tuneglm data check` says why.")


def _print_problem(problem: RowProblem) -> None:
    print(problem_json(problem))


@dataclass
class ProblemList:
    """The first problems of each kind in each file, and how many there are."""

    held: dict[tuple[str, str], list[RowProblem]] = field(default_factory=dict)
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)

    def hear(self, problem: RowProblem) -> None:
        """One more."""
        key = problem.source.file, problem.problem
        self.counts[key] += 1
        held = self.held.setdefault(key, [])
        if len(held) < LISTED:
            held.append(problem)

    def print(self, terminal: Console) -> None:
        """By file, and in it by kind: errors first."""
        order = list(PROBLEMS)
        for file in dict.fromkeys(file for file, _ in self.held):
            terminal.print(f"[bold]{plain(file)}[/]")
            kinds = sorted((kind for name, kind in self.held if name == file), key=order.index)
            for kind in kinds:
                self._print_kind(terminal, file, kind)
            terminal.print()

    def _print_kind(self, terminal: Console, file: str, kind: str) -> None:
        count, colour = self.counts[file, kind], _COLOURS[severity_of(kind)]
        terminal.print(f"  [{colour}]{kind}[/] ({count:,}): {plain(PROBLEMS[kind])}")
        remedy = ""
        for problem in self.held[file, kind]:
            source = problem.source
            row = "" if source.row == source.line else f", row {source.row}"
            terminal.print(f"    line {source.line}{row}: {plain(problem.sentence)}")
            if problem.remedy != remedy:
                remedy = problem.remedy
                terminal.print(f"      [dim]→ {plain(remedy)}[/]")
        if count > LISTED:
            terminal.print(f"    … and {count - LISTED:,} more; all of them: --json")


def print_checked(terminal: Console, checked: Checked) -> None:
    """How many rows there are, how many of them can be used, what is wrong with the others."""
    for note in checked.notes:
        terminal.print(f"[dim]{plain(note)}[/]")
    named = {kind: checked.problems[kind] for kind in PROBLEMS if checked.problems[kind]}
    by_kind = {
        severity: ", ".join(
            f"{count:,} {kind}" for kind, count in named.items() if severity_of(kind) == severity
        )
        for severity in ("error", "doubt")
    }
    unusable, doubtful = checked.read - checked.usable, checked.usable - checked.clean
    terminal.print(
        f"{checked.read:,} rows: [green]{checked.clean:,} without a problem[/], "
        + _of(unusable, "cannot be used", "red", by_kind["error"])
        + ", "
        + _of(doubtful, "doubtful", "yellow", by_kind["doubt"])
    )
    _print_near(terminal, checked)


def _of(count: int, words: str, colour: str, kinds: str) -> str:
    if not count and not kinds:
        return f"0 {words}"
    # a file of which no row was read is none of the rows
    return f"[{colour}]{count:,} {words}[/] ({kinds})" if count else f"[{colour}]{kinds}[/]"


def _print_near(terminal: Console, checked: Checked) -> None:
    count = len(checked.near.rows)
    if not count:
        return
    terminal.print(f"{count:,} rows are nearly an earlier one, which is no problem by itself:")
    for row, earlier in list(zip(checked.near.rows, checked.near.earlier, strict=True))[
        :NEAR_LISTED
    ]:
        near, first = checked.source(int(row)), checked.source(int(earlier))
        terminal.print(f"    {plain(str(near))} is like {plain(str(first))}")


def print_lengths(terminal: Console, lengths: Lengths) -> None:
    """A histogram of a set's rows in tokens, and what the cutoff does to them."""
    terminal.print(f"\n[bold]{plain(lengths.name)}[/]: tokens a row")
    bars = histogram(lengths)
    most = max((bar.rows for bar in bars), default=0)
    names = [f"{bar.start:,}–{bar.end - 1:,}" if bar.end else f"{bar.start:,}–" for bar in bars]
    width = max(map(len, names), default=0)
    for bar, name in zip(bars, names, strict=True):
        over = "yellow" if bar.start >= lengths.cutoff else "green"
        terminal.print(
            f"  {name:>{width}} [{over}]{_drawn(bar.rows / max(1, most))}[/] {bar.rows:,}"
        )
    terminal.print(f"  {cutoff_sentence(lengths)}")
    missing = int(lengths.no_end.sum())
    if missing:
        terminal.print(
            f"  [cyan]no_end[/] ({missing:,}): {plain(PROBLEMS['no_end'])}; "
            "`tuneglm data show` shows how they end"
        )


def cutoff_sentence(lengths: Lengths) -> str:
    """What this cutoff cuts, and which would cut next to nothing."""
    count = max(1, lengths.count)
    few = cutoff_for(lengths)
    would = f"; data.cutoff={few} would cut {FEW:.0%}" if few else ""
    if few is not None and few <= lengths.cutoff:
        would = f"; {few} would be enough for {1 - FEW:.0%} of the rows"
    dropped = f", {lengths.dropped:,} of them do not fit at all" if lengths.dropped else ""
    return (
        f"data.cutoff={lengths.cutoff} cuts {lengths.cut:,} rows ({lengths.cut / count:.1%})"
        f"{dropped}, the answer of {lengths.answers_cut:,} ({lengths.answers_cut / count:.1%})"
        f"{would}"
    )


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
    lines = [(lengths.cutoff, "#d1495b", "-", f"data.cutoff {lengths.cutoff:,}")]
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


def print_stats(terminal: Console, sets: Sequence[SetStats]) -> None:
    """A table, a set a line, and what kinds of rows there are."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    shown = {name: column for name, column in _COLUMNS.items() if any(map(column, sets))}
    for name in shown:
        is_text = name in ("Set", "languages")
        table.add_column(name, justify="left" if is_text else "right", overflow="fold")
    for each in sets:
        table.add_row(*(plain(column(each)) for column in shown.values()))
    terminal.print(table, soft_wrap=False)
    for each in sets:
        if each.kinds:
            terminal.print(f"{plain(each.name)}, kinds: {plain(_most(each.kinds))}")


def _most(counts: Mapping[str, int]) -> str:
    named = [f"{name} {count:,}" for name, count in list(counts.items())[:KINDS_LISTED]]
    more = len(counts) - KINDS_LISTED
    return " · ".join([*named, *([f"{more} more"] if more > 0 else [])])


def _languages(each: SetStats) -> str:
    return " · ".join(
        f"{name} {count / max(1, each.rows):.0%}" for name, count in each.languages.items() if count
    )


_COLUMNS: dict[str, Callable[[SetStats], str]] = {
    "Set": lambda each: each.name,
    "rows": lambda each: f"{each.rows:,}",
    "unusable": lambda each: f"{each.unusable:,}" if each.unusable else "",
    "tokens": lambda each: "" if each.tokens is None else f"{each.tokens:,}",
    "trained": lambda each: "" if each.trained_tokens is None else f"{each.trained_tokens:,}",
    "turns a row": lambda each: f"{each.turns / max(1, each.rows):.1f}",
    "most": lambda each: f"{each.most_turns:,}",
    "languages": _languages,
}
