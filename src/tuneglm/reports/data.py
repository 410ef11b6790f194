"""What a run tells of its data: how far it has been read, what of it is used, and how much."""

import os
import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.status import Status
from rich.table import Table
from typing_extensions import Self

from tuneglm.data.example_set import RowProblem
from tuneglm.data.mix import EncodedSet
from tuneglm.data.pipeline import EncodedData
from tuneglm.data.tally import ExpectedSet
from tuneglm.reports.terminal import plain, rows_of

if TYPE_CHECKING:
    from tuneglm.data.stream import StreamedSet  # imports torch

LISTED_PROBLEMS = 5
SECONDS_BETWEEN_LINES = 10.0
# what is done by then needs no line that moves
SECONDS_OF_PATIENCE = 0.5


class EncodingProgress:
    """How far large sets have come: a line that moves, or a line now and then.

    It is `encode_data`'s `tell`; small sets are done before there is anything to tell.
    """

    def __init__(self, terminal: Console, verb: str = "Encoding") -> None:
        self.terminal = terminal
        self.verb = verb
        self.status: Status | None = None
        self.started = self.printed = time.monotonic()
        self.name, self.first = "", 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self.status is not None:
            self.status.stop()

    def __call__(self, name: str, rows: int) -> None:
        """`rows` of the set have been read and encoded."""
        now = time.monotonic()
        if name != self.name:
            self.name, self.first, self.started = name, rows, now
        speed = (rows - self.first) / max(now - self.started, 1e-9)
        text = f"{self.verb} {plain(name)} · {rows:,} rows" + (
            f" · {speed:,.0f} a second" if speed else ""
        )
        if os.environ.get("RANK", "0") != "0":
            return
        if not self.terminal.is_terminal:
            if now - self.printed > SECONDS_BETWEEN_LINES:
                self.printed = now
                self.terminal.print(text)
        elif self.status is None and now - self.printed < SECONDS_OF_PATIENCE:
            return
        elif self.status is None:
            self.status = self.terminal.status(text)
            self.status.start()
        else:
            self.status.update(text)


def print_data(terminal: Console, data: EncodedData) -> None:
    """How it is read, notes about it, rows that were not used, rows that were cut."""
    print_readings(terminal, data.readings)
    for note in data.notes:
        terminal.print(f"[yellow]Note:[/] {plain(note)}")
    print_problems(terminal, data.problems, data.skipped)
    train = data.train
    if isinstance(train, EncodedSet) and train.cut:
        terminal.print(
            f"[yellow]Note:[/] {train.cut:,} of {len(train.rows):,} rows were cut to "
            "fit (data.cutoff); `tuneglm data show` marks them."
        )
    print_left_out(terminal, data.dropped, data.untrained)
    if not isinstance(train, EncodedSet):
        _print_expected(terminal, train.sets)
    elif _is_mixed(train):
        _print_mix(terminal, train)


def print_streamed(terminal: Console, streamed: "StreamedSet", told: Sequence[str]) -> None:
    """What a run found in its rows after it had told of the first ones."""
    for note in streamed.notes():
        if note not in told:
            terminal.print(f"[yellow]Note:[/] {plain(note)}")


def _is_mixed(train: EncodedSet) -> bool:
    return len(train.sets) > 1 or train.sets[0].rows != train.sets[0].different


def print_left_out(terminal: Console, dropped: int, untrained: int) -> None:
    """Rows that gave nothing to train on."""
    for count, reason in (
        (dropped, "are too long (data.cutoff)"),
        (untrained, "hold no trained answer"),
    ):
        if count:
            terminal.print(f"[yellow]Note:[/] Left out, as they {reason}: {rows_of(count)}.")


def print_readings(terminal: Console, readings: Sequence[str]) -> None:
    """How files are read of which nothing else says it."""
    for reading in readings:
        terminal.print(f"[green]Read[/]   {plain(reading)}")


def print_problems(terminal: Console, problems: Sequence[RowProblem], count: int) -> None:
    """The first of the `count` rows that are skipped."""
    for problem in problems[:LISTED_PROBLEMS]:
        terminal.print(f"[yellow]Skipped[/] {plain(str(problem))}")
    if count > 1:
        terminal.print(f"[yellow]Skipped[/] {count:,} rows in all.")


def _print_expected(terminal: Console, sets: Sequence[ExpectedSet]) -> None:
    """What each set of a stream is to give."""
    table = _table("Set", "share", "tokens a row", "trained")
    for each in sets:
        share = f"about {each.share:.0%}" if each.about else f"{each.share:.1%}"
        table.add_row(plain(each.name), share, f"{each.tokens:.1f}", f"{each.trained_tokens:.1f}")
    terminal.print(table, soft_wrap=False)


def _table(*names: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in names:
        table.add_column(name, justify="left" if name == "Set" else "right")
    return table


def _print_mix(terminal: Console, train: EncodedSet) -> None:
    """What each set gives."""
    table = _table("Set", "rows", "share", "tokens", "trained")
    for each in train.sets:
        times = each.rows / max(1, each.different)
        repeated = f" (each {times:.3g} times)" if times > 1 else ""
        table.add_row(
            plain(each.name) + repeated,
            f"{each.rows:,}",
            f"{100 * each.rows / len(train.rows):.1f}%",
            f"{each.tokens:,}",
            f"{each.trained_tokens:,}",
        )
    terminal.print(table, soft_wrap=False)
