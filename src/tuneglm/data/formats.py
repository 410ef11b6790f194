"""FORMATS: a row of a file → an Example, one small function a format.

A format names the columns it knows and converts one row. It raises RowError,
which says what was expected and what was found; the caller knows the file and
the line. A new format is a function and a line in the table. Columns that a
format does not know are ignored.
"""

from collections.abc import Callable
from dataclasses import dataclass

from tuneglm.data.alpaca import ALPACA_COLUMNS, alpaca
from tuneglm.data.columns import (
    Columns,
    Row,
    RowError,
    checked,
    describe,
    listed,
    nearest,
)
from tuneglm.data.conversations import CONVERSATION_COLUMNS, openai_messages, sharegpt
from tuneglm.data.messages import Example
from tuneglm.data.named_sets import belle_dialog, belle_math, belle_multiturn, firefly, guanaco
from tuneglm.data.prompts import preference, prompt_completion, text
from tuneglm.data.turns import MESSAGE_WORDS

__all__ = ["FORMATS", "Columns", "Format", "Row", "RowError", "describe", "listed", "nearest"]

KIND = "kind"
# a table may well have a column whose name is empty: its index
NO_COLUMN = "(no column)"


@dataclass(frozen=True)
class Format:
    """How a kind of file is read.

    title    what its rows are, for a person
    needs    the columns by which its rows are recognised; none: only by its name
    columns  the names of our columns; a run may say what a file calls them
    make     (row, our column → the file's) → Example without its source and kind
    words    what its messages have in them, which a file may call otherwise too
    """

    title: str
    needs: tuple[str, ...]
    columns: tuple[str, ...]
    make: Callable[[Row, Columns], Example]
    words: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All that a run may rename."""
        return (*self.columns, *self.words)

    def columns_with(self, renamed: Columns) -> dict[str, str]:
        """Every name of ours → the file's; a column renamed to "" it has not."""
        return {name: renamed.get(name, name) or NO_COLUMN for name in self.names}

    def convert(self, row: object, columns: Columns) -> Example:
        """A row as an Example; raises RowError. `columns` is what `columns_with` gives."""
        if not isinstance(row, dict):
            raise RowError(
                f"expected an object `{{…}}`, found {describe(row)}", problem="not_an_object"
            )
        example = self.make(row, columns)
        kind = row.get(columns[KIND])
        if kind is None or kind == "":
            return example
        return Example(example.messages, example.tools, kind=_kind(kind, columns[KIND]))


def _kind(value: object, column: str) -> str:
    """A word or a number of a few digits; what is neither is a kind only where a run says so."""
    if isinstance(value, int | float) and -1e15 < value < 1e15:
        return str(value)
    if column == KIND and not isinstance(value, str):
        return ""
    return checked(value, f"the kind (`{column}`)")


# in the order in which rows are recognised
FORMATS: dict[str, Format] = {
    "preference": Format(
        "preference pairs, trained on `chosen`",
        ("chosen", "rejected"),
        (
            *("chosen", "rejected", "conversations", "messages", "prompt", "instruction", "input"),
            *("history", "system", "tools", KIND),
        ),
        preference,
        MESSAGE_WORDS,
    ),
    "messages": Format(
        "OpenAI messages",
        ("messages",),
        ("messages", *CONVERSATION_COLUMNS, KIND),
        openai_messages,
        MESSAGE_WORDS,
    ),
    "sharegpt": Format(
        "ShareGPT conversations",
        ("conversations",),
        ("conversations", *CONVERSATION_COLUMNS, KIND),
        sharegpt,
        MESSAGE_WORDS,
    ),
    "firefly": Format("Firefly rows", ("input", "target"), ("input", "target", KIND), firefly),
    "belle_multiturn": Format(
        "BELLE's flattened conversations",
        ("instruction", "output"),
        ("instruction", "input", "output", KIND),
        belle_multiturn,
    ),
    "guanaco": Format("Guanaco chats", ("instruction", "output"), (*ALPACA_COLUMNS, KIND), guanaco),
    "alpaca": Format("Alpaca rows", ("instruction", "output"), (*ALPACA_COLUMNS, KIND), alpaca),
    "prompt_completion": Format(
        "prompts and completions",
        ("prompt", "completion"),
        ("prompt", "completion", "history", "system", "tools", KIND),
        prompt_completion,
        MESSAGE_WORDS,
    ),
    "text": Format("plain text, all of it trained", ("text",), ("text", KIND), text),
    "belle_dialog": Format("BELLE's role plays", (), (*ALPACA_COLUMNS, KIND), belle_dialog),
    "belle_math": Format("BELLE's mathematics", (), (*ALPACA_COLUMNS, KIND), belle_math),
}
