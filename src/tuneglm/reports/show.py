"""What `tuneglm data show` prints or writes: a few rows as the model sees them."""

from dataclasses import dataclass
from pathlib import Path

from tuneglm.data.encode import encode_usable
from tuneglm.data.example_set import ExampleSet, RowProblem, bad_row
from tuneglm.data.examples import chosen_sets, first_examples, load_examples, one_example
from tuneglm.data.messages import Example
from tuneglm.data.show import row_json, show_rows
from tuneglm.data.show_html import page_of
from tuneglm.data_config import DataConfig
from tuneglm.errors import OutputError
from tuneglm.models.encoder import ModelEncoder
from tuneglm.reports.data import print_left_out, print_problems, print_readings
from tuneglm.reports.terminal import console, plain, rows_of


@dataclass(frozen=True)
class Wanted:
    """Which rows, and in which form.

    rows  so many from the beginning
    row   or this one alone: its number in the set
    set   of the set of this name, not of the first
    html  a file to write
    """

    rows: int
    row: int | None
    set: str | None
    as_json: bool
    html: str | None


def report_rows(config: DataConfig, model: ModelEncoder, wanted: Wanted) -> None:
    """Print the rows, or write them as a page."""
    sets = load_examples(config)
    # rows of one set: what is encoded together has one name
    chosen = chosen_sets(sets, wanted.set)[:1]
    examples, problems = _examples(chosen, wanted, config.bad_rows)
    block, refused = encode_usable(examples, model.encoder.render, model.encoder.rule)
    if refused and config.bad_rows == "stop":
        raise bad_row(refused[0])
    problems += refused
    terminal = console(stderr=wanted.as_json)
    print_readings(terminal, sets.readings)
    if wanted.html is not None:
        names = ", ".join(one.name for one in chosen)
        _write(Path(wanted.html), page_of(block.rows, model.decode, f"Rows of {names}"))
        terminal.print(f"[green]Saved[/]  {plain(wanted.html)}: {rows_of(len(block.rows))}")
    elif wanted.as_json:
        for row in block.rows:
            print(row_json(row, model.decode))
    else:
        show_rows(block.rows, model.decode, terminal)
    print_problems(terminal, problems, len(problems))
    print_left_out(terminal, block.dropped, block.untrained)


def _examples(
    chosen: tuple[ExampleSet, ...], wanted: Wanted, bad_rows: str
) -> tuple[list[Example], list[RowProblem]]:
    if wanted.row is not None:
        return [one_example(chosen[0], wanted.row)], []
    return first_examples(chosen, wanted.rows, bad_rows)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"`{path}` cannot be written: {error.strerror}.") from None
