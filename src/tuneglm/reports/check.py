"""What `tuneglm data check` and `data stats` print: problems by file, lengths, tables."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from tuneglm.data.check import Checked, check
from tuneglm.data.example_set import RowProblem
from tuneglm.data.lengths import Lengths, length_notes, measured, none_left
from tuneglm.data.problems import PROBLEMS, fails, severity_of
from tuneglm.data.stats import SetStats, stats
from tuneglm.data_config import DataConfig
from tuneglm.reports.data import EncodingProgress, print_readings
from tuneglm.reports.lengths import draw_lengths, print_lengths
from tuneglm.reports.terminal import console, plain, rows_of

if TYPE_CHECKING:
    from tuneglm.models.encoder import ModelEncoder  # imports torch

PROBLEMS_FOUND = 1

LISTED = 20
NEAR_LISTED = 10
KINDS_LISTED = 8
_COLOURS = {"error": "red", "doubt": "yellow", "note": "cyan"}


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
        "fails": fails(problem.problem),
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
    for problem in found_by_model(checked, lengths):
        checked.add(problem)
        hear(problem)
    listed.print(terminal)
    print_checked(terminal, checked, lengths)
    for each in lengths:
        print_lengths(terminal, each)
    if png is not None:
        draw_lengths(Path(png), lengths)
        terminal.print(f"[green]Saved[/]  {plain(png)}")
    return PROBLEMS_FOUND if any(map(fails, checked.problems)) else 0


def found_by_model(checked: Checked, lengths: Sequence[Lengths]) -> Iterator[RowProblem]:
    """What is known of rows only when they are tokens; of a set that stands twice, once."""
    told: list[object] = []
    for each in lengths:
        rows = each.scanned.examples.file, each.scanned.examples.settings()
        if rows in told:
            continue
        told.append(rows)
        yield from each.gone
        yield from length_notes(each, checked.doubtful[checked.sets.index(each.scanned)])
        if (none := none_left(each)) is not None:
            yield none


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


@dataclass(frozen=True)
class Tally:
    """How many rows nothing is against, cannot be used, are doubtful, are cut, are left out."""

    clean: int
    unusable: int
    doubtful: int
    cut: int
    lost: int


def tallied(checked: Checked, lengths: Sequence[Lengths]) -> Tally:
    """The rows of a check, counted once each."""
    refused, cut = sum(each.refused for each in lengths), checked.problems["answer_cut"]
    return Tally(
        clean=_clean(checked, lengths) - cut,
        unusable=checked.read - checked.usable + refused,
        doubtful=checked.usable - checked.clean,
        cut=cut,
        lost=sum(int(each.lost.sum()) for each in lengths) - refused,
    )


def print_checked(terminal: Console, checked: Checked, lengths: Sequence[Lengths]) -> None:
    """How many rows there are, how many of them can be used, what is wrong with the others."""
    for note in checked.notes:
        terminal.print(f"[dim]{plain(note)}[/]")
    apart = _named(checked.apart, "error")
    tally, of_rows = tallied(checked, lengths), checked.problems - checked.apart
    terminal.print(
        f"{rows_of(checked.read)}: [green]{tally.clean:,} without a problem[/], "
        + _of(tally.unusable, "cannot be used", "red", _named(of_rows, "error"))
        + ", "
        + _of(tally.doubtful, "doubtful", "yellow", _named(of_rows, "doubt"))
        + (f", [cyan]the answer of {rows_of(tally.cut)} cut[/]" if tally.cut else "")
        + (f", [cyan]{tally.lost:,} left out[/]" if tally.lost else "")
        + (f"; [red]not counted as rows: {apart}[/]" if apart else "")
    )
    _print_near(terminal, checked)


def _named(counts: Counter[str], severity: str) -> str:
    """So many of each kind."""
    kinds = [kind for kind in PROBLEMS if counts[kind] and severity_of(kind) == severity]
    return ", ".join(f"{counts[kind]:,} {kind}" for kind in kinds)


def _clean(checked: Checked, lengths: Sequence[Lengths]) -> int:
    """Rows that nothing is against, and that the model sees."""
    doubtful = dict(zip(map(id, checked.sets), checked.doubtful, strict=True))
    unseen = (each.lost & ~doubtful[id(each.scanned)] for each in lengths)
    return checked.clean - sum(int(each.sum()) for each in unseen)


def _of(count: int, words: str, colour: str, kinds: str) -> str:
    return f"[{colour}]{count:,} {words}[/] ({kinds})" if count else f"0 {words}"


def _print_near(terminal: Console, checked: Checked) -> None:
    count = len(checked.near.rows)
    if not count:
        return
    are = "is" if count == 1 else "are"
    terminal.print(f"{rows_of(count)} {are} nearly an earlier one, which is no problem by itself:")
    pairs = zip(checked.near.rows, checked.near.earlier, strict=True)
    for row, earlier in islice(pairs, NEAR_LISTED):
        near, first = checked.source(int(row)), checked.source(int(earlier))
        terminal.print(f"    {plain(str(near))} is like {plain(str(first))}")
    if count > NEAR_LISTED:
        terminal.print(f"    … and {count - NEAR_LISTED:,} more")


def print_stats(terminal: Console, sets: Sequence[SetStats]) -> None:
    """A table, a set a line; then languages and kinds of rows. A turn is one message."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    shown = {name: column for name, column in _COLUMNS.items() if any(map(column, sets))}
    for name in shown:
        table.add_column(name, justify="left" if name == "Set" else "right", overflow="fold")
    for each in sets:
        table.add_row(*(plain(column(each)) for column in shown.values()))
    terminal.print(table, soft_wrap=False)
    for each in sets:
        if each.rows:
            terminal.print(f"{plain(each.name)}, languages: {_languages(each)}")
        if each.kinds:
            terminal.print(f"{plain(each.name)}, kinds: {plain(_most(each.kinds))}")


def _most(counts: Mapping[str, int]) -> str:
    named = [f"{name} {count:,}" for name, count in list(counts.items())[:KINDS_LISTED]]
    more = len(counts) - KINDS_LISTED
    return " · ".join([*named, *([f"{more} more"] if more > 0 else [])])


def _languages(each: SetStats) -> str:
    shares = {name: count / each.rows for name, count in each.languages.items() if count}
    return " · ".join(f"{name} {_percent(share)}" for name, share in shares.items())


def _percent(share: float) -> str:
    """In whole hundredths; neither none nor all where it is not."""
    if 0 < share < 0.01:
        return "<1%"
    return ">99%" if 0.99 < share < 1 else f"{share:.0%}"


_COLUMNS: dict[str, Callable[[SetStats], str]] = {
    "Set": lambda each: each.name,
    "rows": lambda each: f"{each.rows:,}",
    "unusable": lambda each: f"{each.unusable:,}" if each.unusable else "",
    "tokens": lambda each: "" if each.tokens is None else f"{each.tokens:,}",
    "trained": lambda each: "" if each.trained_tokens is None else f"{each.trained_tokens:,}",
    "cut by\ncutoff": lambda each: f"{each.cut:,}" if each.cut else "",
    "turns\na row": lambda each: f"{each.turns / max(1, each.rows):.1f}",
    "most": lambda each: f"{each.most_turns:,}",
}
