"""Rows as Stanford Alpaca wrote them: a question, perhaps with an input, and its answer."""

from tuneglm.data.columns import (
    Columns,
    Row,
    RowError,
    checked,
    describe,
    empty,
    from_json,
    is_blank,
    optional_text,
    required_text,
)
from tuneglm.data.messages import Example, Message

ALPACA_COLUMNS = ("instruction", "input", "output", "history", "system")


def alpaca(row: Row, columns: Columns) -> Example:
    """`instruction`, `input` and `output`; `history` and `system` come before them."""
    question = question_of(row, columns)
    answer = required_text(row, columns, "output", "answer")
    if is_blank(question):
        raise empty(f"the question (`{columns['instruction']}`)", "question")
    if is_blank(answer):
        raise empty(f"the answer (`{columns['output']}`)", "answer")
    return Example(
        (*opening(row, columns), Message("user", question), Message("assistant", answer))
    )


def question_of(row: Row, columns: Columns) -> str:
    """The instruction, and the input on a new line; either may be the whole question."""
    question = required_text(row, columns, "instruction", "question")
    context = optional_text(row, columns["input"], "input")
    if context.strip():
        question = f"{question}\n{context}" if question.strip() else context
    return question


def opening(row: Row, columns: Columns) -> list[Message]:
    """What comes before the question: `system` and `history`."""
    system = optional_text(row, columns["system"], "system message")
    messages = [Message("system", system)] if system.strip() else []
    value = row.get(columns["history"])
    return messages if value is None else messages + _history(value, columns["history"])


def _history(value: object, column: str) -> list[Message]:
    """`[[question, answer], …]` as messages."""
    meaning = f"the history (`{column}`)"
    if isinstance(value, str) and (not value.strip() or value.lstrip()[0] in "[{"):
        value = from_json(value, meaning) or []
    if not isinstance(value, list):
        raise RowError(
            f"{meaning} should be a list of [question, answer] pairs, found {describe(value)}"
        )
    messages = []
    for number, pair in enumerate(value, 1):
        place = f"pair {number} of {meaning}"
        if not isinstance(pair, list) or len(pair) != 2:
            raise RowError(f"{place} should be [question, answer], found {describe(pair)}")
        for role, text in zip(("user", "assistant"), pair, strict=True):
            meaning_here = f"the {'question' if role == 'user' else 'answer'} in {place}"
            if is_blank(checked(text, meaning_here)):
                raise empty(meaning_here, role)
        messages += [Message("user", pair[0]), Message("assistant", pair[1])]
    return messages
