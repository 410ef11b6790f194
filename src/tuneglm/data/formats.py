"""FORMATS: a row of a file → an Example, one small function a format.

A format names the columns it knows and converts one row. It raises RowError,
which says what was expected and what was found; the caller knows the file and
the line. A new format is a function and a line in the table.
"""

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tuneglm.data.messages import Example, Message

Row = Mapping[str, Any]
Columns = Mapping[str, str]


class RowError(Exception):
    """A row that cannot be used."""

    def __init__(self, sentence: str, remedy: str = "correct it") -> None:
        """`sentence` says what is wrong, `remedy` what to do; both without a dot."""
        self.sentence = sentence
        self.remedy = remedy
        super().__init__(sentence)


@dataclass(frozen=True)
class Format:
    """How a kind of file is read.

    columns  the names of our columns; a run may say what a file calls them
    convert  (row, our column → the file's) → Example without its source
    """

    columns: tuple[str, ...]
    convert: Callable[[Row, Columns], Example]

    def columns_with(self, renamed: Columns) -> dict[str, str]:
        """Every column of ours → the file's name for it."""
        return {column: renamed.get(column, column) for column in self.columns}


def alpaca(row: Row, columns: Columns) -> Example:
    """`instruction`, `input`, `output`, `history` and `system`, as Stanford Alpaca wrote them."""
    question = _required(row, columns, "instruction", "question")
    context = _text(row, columns["input"], "input")
    answer = _required(row, columns, "output", "answer")
    system = _text(row, columns["system"], "system message")
    if context.strip():
        question = f"{question}\n{context}" if question.strip() else context
    if not question.strip():
        raise _empty("question", columns["instruction"])
    if not answer.strip():
        raise _empty("answer", columns["output"])
    messages = [Message("system", system)] if system.strip() else []
    messages += _history(row.get(columns["history"]), columns["history"])
    return Example((*messages, Message("user", question), Message("assistant", answer)))


FORMATS: dict[str, Format] = {
    "alpaca": Format(("instruction", "input", "output", "history", "system"), alpaca),
}


# names that others give to our columns
_OTHER_NAMES = {
    "instruction": ("question", "prompt", "query", "instruct", "user", "问题", "提问", "指令"),
    "output": ("answer", "response", "completion", "target", "assistant", "回答", "答案", "输出"),
}
LISTED = 8


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` was probably meant to be: what it begins, or is most like."""
    lowered = {other.lower(): other for other in known}
    begun = [other for other in lowered if len(name) > 2 and other.startswith(name.lower())]
    if begun:
        return lowered[begun[0]]
    near = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.5)
    return lowered[near[0]] if near else None


def listed(names: Sequence[str]) -> str:
    """The first few names; `…` stands for the rest."""
    return ", ".join([*names[:LISTED], *(["…"] if len(names) > LISTED else [])])


def describe(value: object) -> str:
    """A JSON value in words, for `expected …, found …`."""
    if value is None or isinstance(value, bool):
        return f"`{ {None: 'null', True: 'true', False: 'false'}[value] }`"
    if isinstance(value, str):
        # a lone surrogate could not be printed
        start = value[:40].encode("utf-8", "backslashreplace").decode()
        return f"the text `{start}{'…' if len(value) > 40 else ''}`"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return "an object" if isinstance(value, dict) else f"the number `{str(value)[:40]}`"


def _required(row: Row, columns: Columns, column: str, meaning: str) -> str:
    """The text of a column that a row must have."""
    if columns[column] not in row:
        found = listed([f"`{other}`" for other in row]) or "none"
        raise RowError(
            f"the {meaning} is missing: expected a column `{columns[column]}`, found {found}",
            _column_remedy(row, columns, column),
        )
    return _text(row, columns[column], meaning)


def _column_remedy(row: Row, columns: Columns, column: str) -> str:
    """A column of the row that is not already another one of ours, if one fits."""
    free = {other.lower(): other for other in row if other not in columns.values()}
    known = [free[name] for name in _OTHER_NAMES.get(column, ()) if name in free]
    near = nearest(columns[column], free.values())
    fitting = near or next(iter(known), None)
    if fitting is None:
        return f"write it, under the name `{columns[column]}`"
    return f"if `{fitting}` is it, say so (columns: {{{column}: {fitting}}})"


def _text(row: Row, column: str, meaning: str) -> str:
    """The text of a column; a missing one and null are empty."""
    value = row.get(column)
    return "" if value is None else _checked(value, f"the {meaning} (`{column}`)")


def _history(value: object, column: str) -> list[Message]:
    """`[[question, answer], …]` as messages."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise RowError(
            f"the history (`{column}`) should be a list of [question, answer] pairs, "
            f"found {describe(value)}"
        )
    messages = []
    for number, pair in enumerate(value, 1):
        place = f"pair {number} of the history (`{column}`)"
        if not isinstance(pair, list) or len(pair) != 2:
            raise RowError(f"{place} should be [question, answer], found {describe(pair)}")
        for role, text in zip(("user", "assistant"), pair, strict=True):
            meaning = f"the {'question' if role == 'user' else 'answer'} in {place}"
            if not _checked(text, meaning).strip():
                raise RowError(f"{meaning} is empty", "fill it")
        messages += [Message("user", pair[0]), Message("assistant", pair[1])]
    return messages


def _checked(value: object, meaning: str) -> str:
    """`value` as text that can be written as UTF-8."""
    if not isinstance(value, str):
        raise RowError(f"{meaning} should be text, found {describe(value)}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        half = f"\\u{ord(value[error.start]):04x}"
        raise RowError(
            f"{meaning} holds `{half}`, one half of a character, at position {error.start + 1}",
            "write the whole character",
        ) from None
    return value


def _empty(meaning: str, column: str) -> RowError:
    return RowError(f"the {meaning} (`{column}`) is empty", "fill it")
