"""The answers to one question: as plain text, as Markdown one below the other, or side by side."""

import time
from collections.abc import Sequence
from typing import Protocol, TextIO

from rich.console import Console
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from tuneglm.chat.markdown import (
    REDRAWN,
    LastLines,
    StreamedMarkdown,
    printable,
    rendered,
)

STYLES = ("bold cyan", "bold magenta", "bold yellow", "bold green")


class Turn(Protocol):
    """The answers to one question."""

    def begin(self, place: int) -> None:
        """The one in this place answers from now on."""

    def write(self, piece: str) -> None:
        """A piece of its answer."""

    def end(self, note: str = "") -> None:
        """It has said what it says; `note` is ours."""

    def close(self) -> None:
        """All have answered."""


class PlainTurn:
    """As it comes; with several, the name of each before it."""

    def __init__(self, output: TextIO, names: Sequence[str]) -> None:
        self._output, self._names = output, names

    def begin(self, place: int) -> None:
        """See `Turn`."""
        if len(self._names) > 1:
            self._print(f"{self._names[place]}: ", end="")

    def write(self, piece: str) -> None:
        """See `Turn`."""
        self._print(piece, end="")

    def end(self, note: str = "") -> None:
        """See `Turn`."""
        self._print(note)

    def close(self) -> None:
        """See `Turn`."""

    def _print(self, text: str, end: str = "\n") -> None:
        print(text, end=end, flush=True, file=self._output)


class StackedTurn:
    """Markdown; with several, one below the other, each under a line with its name."""

    def __init__(self, console: Console, names: Sequence[str]) -> None:
        self._console, self._names = console, names
        self._answer: StreamedMarkdown | None = None

    def begin(self, place: int) -> None:
        """See `Turn`."""
        if len(self._names) > 1:
            style = STYLES[place % len(STYLES)]
            title = Text(self._names[place], style=style)
            self._console.print(Rule(title, align="left", style="dim"))
        self._answer = StreamedMarkdown(self._console)

    def write(self, piece: str) -> None:
        """See `Turn`."""
        if self._answer is not None:
            self._answer.write(piece)

    def end(self, note: str = "") -> None:
        """See `Turn`."""
        self.close()
        if note.strip():
            self._console.print(Text(note.strip(), style="yellow"))

    def close(self) -> None:
        """See `Turn`."""
        if self._answer is not None:
            self._answer.close()
            self._answer = None


class BesideTurn:
    """Markdown in columns, drawn anew while it comes and printed whole at the end."""

    def __init__(self, console: Console, names: Sequence[str]) -> None:
        from rich.live import Live

        self._console, self._names = console, names
        self._texts, self._notes = [""] * len(names), [""] * len(names)
        self._place, self._drawn = 0, 0.0
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._live.start()

    def begin(self, place: int) -> None:
        """See `Turn`."""
        self._place = place

    def write(self, piece: str) -> None:
        """See `Turn`."""
        self._texts[self._place] += printable(piece)
        now = time.monotonic()
        if now - self._drawn >= REDRAWN:
            self._drawn = now
            self._live.update(LastLines(self._table(), self._console), refresh=True)

    def end(self, note: str = "") -> None:
        """See `Turn`."""
        self._notes[self._place] = note.strip()

    def close(self) -> None:
        """See `Turn`."""
        self._live.update("")
        self._live.stop()
        self._console.print(self._table())

    def _table(self) -> Table:
        table = Table.grid(expand=True, padding=(0, 2))
        for _ in self._names:
            table.add_column(ratio=1, overflow="fold")
        titles = enumerate(self._names)
        table.add_row(*(Text(name, style=STYLES[at % len(STYLES)]) for at, name in titles))
        table.add_row(*(Rule(style="dim") for _ in self._names))
        table.add_row(*map(rendered, self._texts))
        if any(self._notes):
            table.add_row(*(Padding(Text(note, style="yellow"), 0) for note in self._notes))
        return table
