"""A prompt and its completion, preference pairs, and plain text."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tuneglm.data.alpaca import opening, question_of
from tuneglm.data.columns import (
    Columns,
    Row,
    RowError,
    checked,
    describe,
    empty,
    filled_text,
    is_blank,
    quoted,
    required,
)
from tuneglm.data.conversations import messages_of, ordered, tools_of
from tuneglm.data.messages import Example, Message, Role
from tuneglm.data.tools import Tool

# a preference pair's question, in the order in which it is looked for
_QUESTIONS = ("conversations", "messages", "prompt", "instruction")
_MEANINGS = {"completion": "answer", "chosen": "chosen answer"}


def prompt_completion(row: Row, columns: Columns) -> Example:
    """`prompt` and `completion`, each a text or a list of messages; only the completion is trained.

    A prompt that is a text is the user's question; `system` and `history` may come before it.
    """
    prompt = required(row, columns, "prompt", "question")
    completion = required(row, columns, "completion", "answer")
    asked, tools = _side(prompt, "prompt", columns, "user")
    answered, more = _side(completion, "completion", columns, "assistant")
    messages = [*opening(row, columns), *_untrained(asked), *answered]
    return Example(ordered(messages), tools_of(row, columns) + tools + more)


def preference(row: Row, columns: Columns) -> Example:
    """A question with `chosen` and `rejected`: the chosen answer is trained, the other not read.

    `chosen` may hold the whole conversation, as UltraFeedback's; its last answer is trained.
    """
    chosen = required(row, columns, "chosen", "chosen answer")
    answered, tools = _side(chosen, "chosen", columns, "assistant")
    if answered and answered[0].role in ("system", "user"):
        messages = [*_untrained(answered[:-1]), *answered[-1:]]
        return Example(ordered(messages), tools_of(row, columns) + tools)
    asked, more = _question(row, columns)
    messages = [*opening(row, columns), *_untrained(asked), *answered]
    return Example(ordered(messages), tools_of(row, columns) + more + tools)


def text(row: Row, columns: Columns) -> Example:
    """Plain text: all of it is trained, as an assistant's words that nobody asked for."""
    return Example((Message("assistant", filled_text(row, columns, "text", "text"), trained=True),))


def _question(row: Row, columns: Columns) -> tuple[list[Message], tuple[Tool, ...]]:
    for column in _QUESTIONS:
        if row.get(columns[column]) is None:
            continue
        if column == "instruction":
            question = question_of(row, columns)
            if is_blank(question):
                raise empty(f"the question (`{columns[column]}`)", "question")
            return [Message("user", question)], ()
        return _side(row[columns[column]], column, columns, "user")
    expected = " or ".join(f"`{columns[column]}`" for column in _QUESTIONS)
    raise RowError(
        f"the question is missing: expected {expected}, found {quoted(row)}",
        f"write it, under the name `{columns['prompt']}`",
        "missing_column",
    )


def _side(
    value: object, name: str, columns: Columns, role: Role
) -> tuple[list[Message], tuple[Tool, ...]]:
    """A text, one message or a list of them, as messages; with the tools they list."""
    column, meaning = columns[name], _MEANINGS.get(name, "question")
    if isinstance(value, list | Mapping):
        return messages_of(value, column, columns)
    if value is None:
        raise empty(f"the {meaning} (`{column}`)", meaning)
    if not isinstance(value, str):
        raise RowError(
            f"the {meaning} (`{column}`) should be text or a list of messages, "
            f"found {describe(value)}"
        )
    if is_blank(checked(value, f"the {meaning} (`{column}`)")):
        raise empty(f"the {meaning} (`{column}`)", meaning)
    return [Message(role, value)], ()


def _untrained(messages: Sequence[Message]) -> list[Message]:
    """Context: answers in it are not trained."""
    return [
        replace(message, trained=False) if message.role == "assistant" else message
        for message in messages
    ]
