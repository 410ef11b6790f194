"""The questions of a file: rows of any format that is known, with their answers or without."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuneglm.chat.voices import Messages
from tuneglm.data.columns import RowError
from tuneglm.data.files import RawRow, read_rows
from tuneglm.data.formats import FORMATS
from tuneglm.data.messages import Example
from tuneglm.data.recognise import recognise
from tuneglm.errors import DataError

# what stands for an answer that a row has not: with it a row is one of a known format
_MISSING = "…"
# what an answer may be called beside a prompt, and beside an instruction
_PROMPT_ANSWERS = ("completion", "response", "answer", "output", "target", "chosen", "回答", "答案")
_INSTRUCTION_ANSWERS = (*_PROMPT_ANSWERS, "assistant", "输出")


@dataclass(frozen=True)
class Question:
    """A conversation that a model is to go on with; `expected` is the row's own answer."""

    row: int
    messages: Messages
    expected: str | None = None


def questions_of(path: Path) -> list[Question]:
    """Of all rows; raises DataError where one cannot be asked."""
    questions = [_question(number, row) for number, row in enumerate(read_rows(path), 1)]
    if not questions:
        raise DataError(f"`{path}` holds no rows.", 'a row is {"prompt": "…"}, or a line of text')
    return questions


def _question(number: int, row: RawRow) -> Question:
    value = row.value
    try:
        if isinstance(value, RowError):
            raise value
        example, has_answer = _example(value, row.file)
    except RowError as error:
        raise DataError(f"`{row.file}:{row.line}`: {error.sentence}.", error.remedy) from None
    except DataError as error:
        raise DataError(f"`{row.file}:{row.line}`: {error.sentence}", error.hint) from None
    if any(each.role == "tool" or each.tool_calls for each in example.messages):
        raise DataError(
            f"`{row.file}:{row.line}` calls tools, which are not asked for here.",
            "leave these rows out",
        )
    messages = [{"role": each.role, "content": each.content} for each in example.messages]
    last = messages.pop()
    return Question(number, messages, last["content"] if has_answer else None)


def _example(row: object, file: str) -> tuple[Example, bool]:
    """The row as it would be trained; the flag: whether the answer is its own."""
    if isinstance(row, Mapping) and set(row) == {"text"}:
        row = {"prompt": row["text"]}
    if not isinstance(row, dict):
        raise RowError(f"expected an object, found `{str(row)[:40]}`")
    filled = _with_answer(row)
    found = recognise([filled or row], file)
    form = FORMATS[found.format]
    example = form.convert(filled or row, form.columns_with(found.columns))
    if len(example.messages) < 2 or example.messages[-1].role != "assistant":
        raise RowError("there is no question in it", "write {prompt: …}, or messages")
    return example, filled is None


def _with_answer(row: dict[str, Any]) -> dict[str, Any] | None:
    """A row that ends with its question, with an answer put in; None where it has one."""
    messages = row.get("messages")
    if isinstance(messages, list) and messages and isinstance(messages[-1], dict):
        if messages[-1].get("role") == "user":
            return row | {"messages": [*messages, {"role": "assistant", "content": _MISSING}]}
        return None
    if "prompt" in row and not any(row.get(name) for name in _PROMPT_ANSWERS):
        return {**row, "completion": _MISSING}
    if "instruction" in row and not any(row.get(name) for name in _INSTRUCTION_ANSWERS):
        return {**row, "output": _MISSING}
    return None
