"""Columns of a row: what is wrong with them is a RowError; names that others give to ours."""

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tuneglm.data.problems import ERRORS

Row = Mapping[str, Any]
Columns = Mapping[str, str]

LISTED = 8
_EMPTY = {
    "question": "empty_question",
    "answer": "empty_answer",
    "chosen answer": "empty_answer",
    "user": "empty_question",
    "assistant": "empty_answer",
}

# our column → what others call it
OTHER_NAMES: dict[str, tuple[str, ...]] = {
    "instruction": ("question", "prompt", "query", "instruct", "user", "问题", "提问", "指令"),
    "input": ("context", "输入", "上下文"),
    "output": ("answer", "response", "completion", "target", "assistant", "回答", "答案", "输出"),
    "system": ("system_prompt", "系统"),
    "history": ("历史",),
    "prompt": ("question", "query", "input", "问题", "提示"),
    "completion": ("response", "answer", "output", "target", "回答", "答案"),
    "conversations": ("conversation", "dialogue", "dialog", "chat", "turns", "items", "对话"),
    "target": ("output",),
    "text": ("content", "document", "文本"),
}


_INVISIBLE = dict.fromkeys((0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF))


class RowError(Exception):
    """A row that cannot be used."""

    def __init__(
        self, sentence: str, remedy: str = "correct it", problem: str = "wrong_type"
    ) -> None:
        """`sentence` says what is wrong, `remedy` what to do, both without a dot; `problem` is
        one of ERRORS.
        """
        assert problem in ERRORS, problem
        self.sentence = sentence
        self.remedy = remedy
        self.problem = problem
        super().__init__(sentence)


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


def quoted(names: Iterable[object]) -> str:
    """The first few names in backticks, each of one line that can be printed; or `none`."""
    return listed([f"`{printable(str(name))}`" for name in names]) or "none"


def printable(text: str) -> str:
    """The start of a text as one line; half a character could not be printed."""
    start = " ".join(text[:40].encode("utf-8", "backslashreplace").decode().split())
    return f"{start}{'…' if len(text) > 40 else ''}"


def describe(value: object) -> str:
    """A JSON value in words, for `expected …, found …`."""
    if value is None or isinstance(value, bool):
        return f"`{ {None: 'null', True: 'true', False: 'false'}[value] }`"
    if isinstance(value, str):
        return f"the text `{printable(value)}`"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, int | float):
        # a number of very many digits has no text
        number = isinstance(value, float) or value.bit_length() < 1000
        return f"the number `{str(value)[:40]}`" if number else "a very large number"
    return f"a value of the type `{type(value).__name__}`"


def required(row: Row, columns: Columns, column: str, meaning: str) -> Any:
    """What stands in a column that a row must have."""
    if columns[column] not in row:
        raise RowError(
            f"the {meaning} is missing: expected a column `{columns[column]}`, found {quoted(row)}",
            _column_remedy(row, columns, column),
            "missing_column",
        )
    return row[columns[column]]


def required_text(row: Row, columns: Columns, column: str, meaning: str) -> str:
    """The text of a column that a row must have; null is empty."""
    value = required(row, columns, column, meaning)
    return "" if value is None else checked(value, f"the {meaning} (`{columns[column]}`)")


def optional_text(row: Row, column: str, meaning: str) -> str:
    """The text of a column; a missing one and null are empty."""
    value = row.get(column)
    return "" if value is None else checked(value, f"the {meaning} (`{column}`)")


def filled_text(row: Row, columns: Columns, column: str, meaning: str) -> str:
    """The text of a column that must not be blank."""
    value = required_text(row, columns, column, meaning)
    if is_blank(value):
        raise empty(f"the {meaning} (`{columns[column]}`)", meaning)
    return value


def checked(value: object, meaning: str) -> str:
    """`value` as text that can be written as UTF-8."""
    if not isinstance(value, str):
        raise RowError(f"{meaning} should be text, found {describe(value)}")
    if "\0" in value:
        place = value.index("\0") + 1
        raise RowError(
            f"{meaning} holds a NUL (`\\u0000`) at position {place}", "remove it", "encoding"
        )
    try:
        value.encode()
    except UnicodeEncodeError as error:
        half = f"\\u{ord(value[error.start]):04x}"
        raise RowError(
            f"{meaning} holds `{half}`, one half of a character, at position {error.start + 1}",
            "write the whole character",
            "half_character",
        ) from None
    return value


def is_blank(text: str) -> bool:
    """Whether there is nothing to be seen: spaces, and characters without width."""
    seen = text.strip()
    if not seen or ord(seen[0]) not in _INVISIBLE:
        return not seen
    return not seen.translate(_INVISIBLE).strip()


def from_json(value: object, meaning: str) -> Any:
    """A value that a table has to hold as JSON text; what is no text stays as it is."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(checked(value, meaning)) if value.strip() else None
    except (ValueError, RecursionError):
        raise RowError(
            f"{meaning} should be JSON, found {describe(value)}", "write it as JSON", "bad_json"
        ) from None


def checked_json(value: Any, meaning: str) -> Any:
    """`value` if it can be written as JSON in UTF-8: no NaN, no half of a character."""
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:
        raise RowError(
            f"{meaning} holds one half of a character",
            "write the whole character",
            "half_character",
        ) from None
    except (ValueError, TypeError, RecursionError):
        raise RowError(
            f"{meaning} should be JSON, and holds `NaN`, `Infinity` or what JSON has no word for",
            "write null, or leave it out",
            "not_a_number",
        ) from None
    return value


def empty(place: str, meaning: str = "text") -> RowError:
    """The error of a text that is blank; `meaning` says what it is, `place` also where."""
    return RowError(f"{place} is empty", "fill it", _EMPTY.get(meaning, "empty_text"))


def _column_remedy(row: Row, columns: Columns, column: str) -> str:
    """A column of the row that is not already another one of ours, if one fits."""
    names = [other for other in row if isinstance(other, str) and other not in columns.values()]
    free = {other.lower(): other for other in names}
    known = [free[name] for name in OTHER_NAMES.get(column, ()) if name in free]
    near = nearest(columns[column], free.values())
    fitting = near or next(iter(known), None)
    if fitting is None:
        return f"write it, under the name `{columns[column]}`"
    return f"if `{printable(fitting)}` is it, say so (columns: {{{column}: {printable(fitting)}}})"
