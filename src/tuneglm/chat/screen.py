"""What a conversation is shown on: a terminal, wide or narrow, or a pipe."""

from collections.abc import Sequence
from typing import TextIO

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tuneglm.chat.turns import BesideTurn, PlainTurn, StackedTurn, Turn

# columns of a terminal from which on two answers have room beside each other
WIDE = 100
# below which three cells have none
NARROW = 70


class Screen:
    """What the conversation is shown on."""

    def __init__(self, output: TextIO) -> None:
        self._output = output
        self.console = Console(file=output, highlight=False)
        # whatever the environment says of colours: a pipe gets plain text
        self.is_terminal = output.isatty() and not self.console.is_dumb_terminal

    def turn(self, names: Sequence[str]) -> Turn:
        """The place for the next answers, as wide as the terminal is now."""
        if not self.is_terminal:
            return PlainTurn(self._output, names)
        if len(names) > 1 and self.console.width >= WIDE:
            return BesideTurn(self.console, names)
        return StackedTurn(self.console, names)

    def say(self, text: str) -> None:
        """A sentence of ours."""
        if self.is_terminal:
            self.console.print(Text(text, style="dim"))
        else:
            print(text, flush=True, file=self._output)

    def table(self, rows: Sequence[Sequence[str]]) -> None:
        """Rows of two or three cells; in a pipe they are set off by spaces."""
        if not self.is_terminal:
            widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
            for row in rows:
                cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
                print("  ".join(cells).rstrip(), flush=True, file=self._output)
            return
        if self.console.width < NARROW and len(rows[0]) > 2:
            for name, *between, text in rows:
                self.console.print(
                    Text("  ").join([Text(name, style="bold cyan"), *map(Text, between)])
                )
                self.console.print(Padding(Text(text, style="dim"), (0, 0, 0, 2)))
            return
        table = Table.grid(padding=(0, 2, 0, 0))
        for number in range(len(rows[0])):
            is_name = number == 0
            table.add_column(style="bold cyan" if is_name else "", overflow="fold", no_wrap=is_name)
        for row in rows:
            table.add_row(*map(Text, row))
        self.console.print(table)
