"""Lists of messages: ShareGPT's `conversations` (from, value) and OpenAI's `messages`.

Both are read alike, since people mix them. Nothing is joined or left out in
silence, with these exceptions, in which nothing is lost: a blank system message
is none, and an assistant's text directly before its tool call is one message
with it, as OpenAI writes it. A list of mere texts, as UltraChat's, is what the
user and the assistant say in turns.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tuneglm.data.columns import (
    Columns,
    Row,
    RowError,
    describe,
    empty,
    from_json,
    optional_text,
    printable,
    required,
)
from tuneglm.data.messages import Example, Message, Role
from tuneglm.data.tools import Tool, listed_tools
from tuneglm.data.turns import in_our_words, turn

# who may speak after whom; a tool may answer a call that is written as text
_MAY_FOLLOW: dict[Role | None, tuple[Role, ...]] = {
    None: ("system", "user"),
    "system": ("user",),
    "user": ("assistant",),
    "assistant": ("user", "tool"),
    "tool": ("assistant", "tool"),
}
_REMEDIES: dict[tuple[Role | None, Role | None], str] = {
    ("user", "user"): "join them, or put the answer between them",
    ("assistant", "assistant"): "join them, or put the question between them",
    (None, "assistant"): "put the question before it, or make it the system message",
    ("user", None): "add the answer, or remove the last question",
    ("tool", None): "add the assistant's answer to the tool's result, or remove the call",
}
# who says which of a list of texts
_IN_TURNS = ("user", "assistant")
# what a conversation row has beside its list
CONVERSATION_COLUMNS = ("system", "tools")


def sharegpt(row: Row, columns: Columns) -> Example:
    """`conversations`; `system` and `tools` may stand beside it."""
    return conversation_of(row, columns, "conversations")


def openai_messages(row: Row, columns: Columns) -> Example:
    """`messages`; `system` and `tools` may stand beside it."""
    return conversation_of(row, columns, "messages")


def conversation_of(row: Row, columns: Columns, column: str) -> Example:
    """The conversation that stands in a column, checked."""
    value = required(row, columns, column, "conversation")
    messages, tools = messages_of(value, columns[column], columns)
    return Example(ordered([*system_of(row, columns), *messages]), tools_of(row, columns) + tools)


def system_of(row: Row, columns: Columns) -> list[Message]:
    """The message of the column `system`, unless it is blank."""
    system = optional_text(row, columns["system"], "system message")
    return [Message("system", system)] if system.strip() else []


def tools_of(row: Row, columns: Columns) -> tuple[Tool, ...]:
    """What the column `tools` lists."""
    value = row.get(columns["tools"])
    return () if value is None else listed_tools(value, f"`{columns['tools']}`")


def messages_of(
    value: object, column: str, words: Columns
) -> tuple[list[Message], tuple[Tool, ...]]:
    """A list of messages, or its JSON text; and the tools that a system message may list.

    column  the file's name for it
    words   the file's for what a message has, as `Format.columns_with` gives them
    """
    value = from_json(value, f"the conversation (`{column}`)")
    if isinstance(value, Mapping):
        value = [value]
    if not isinstance(value, list):
        raise RowError(
            f"the conversation (`{column}`) should be a list of messages, found {describe(value)}"
        )
    if not value:
        raise empty(f"the conversation (`{column}`)")
    messages: list[Message] = []
    tools: tuple[Tool, ...] = ()
    if all(isinstance(item, str) for item in value):
        value = [
            {"from": _IN_TURNS[number % 2], "value": text} for number, text in enumerate(value)
        ]
        words = {}
    for number, item in enumerate(value, 1):
        place = f"message {number} of `{column}`"
        if not isinstance(item, Mapping):
            raise RowError(
                f"{place} should be an object `{{…}}`, found {describe(item)}",
                problem="not_an_object",
            )
        if item.get("tools") is not None:
            tools += listed_tools(item["tools"], f"`tools` in {place}")
        _append(messages, turn(in_our_words(item, words) if words else item, place))
    return messages, tools


def ordered(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The messages, if whoever speaks may; the last word has to be the assistant's."""
    before: Role | None = None
    for message in messages:
        if message.role not in _MAY_FOLLOW[before]:
            raise _out_of_order(before, message)
        before = message.role
    if before != "assistant":
        speaker = "a tool's result" if before == "tool" else f"the {before}"
        raise RowError(
            f"the conversation ends with {speaker}: the answer is missing"
            if before
            else "the conversation holds no message",
            _REMEDIES.get((before, None), "write a question and its answer"),
            "role_order",
        )
    return tuple(messages)


def _out_of_order(before: Role | None, message: Message) -> RowError:
    role = message.role
    # numbers would not be the row's own where a column holds the system message
    words = message.content or "".join(call["name"] for call in message.tool_calls)
    said = f" (`{printable(words)}`)"
    remedy = _REMEDIES.get((before, role), "bring the roles into order")
    expected = " or ".join(f"`{other}`" for other in _MAY_FOLLOW[before])
    if before is None:
        sentence = f"the conversation begins with `{role}`{said}: expected {expected}"
    elif before == role:
        sentence = f"two `{role}` turns in a row, the second{said}"
    else:
        sentence = f"`{role}`{said} comes after `{before}`: expected {expected}"
    return RowError(sentence, remedy, "role_order")


def _append(messages: list[Message], added: list[Message]) -> None:
    for message in added:
        last = messages[-1] if messages else None
        if last and _is_text_before_call(last, message) and last.trained == message.trained:
            messages[-1] = replace(last, tool_calls=message.tool_calls)
        else:
            messages.append(message)


def _is_text_before_call(first: Message, second: Message) -> bool:
    is_text = first.role == "assistant" and not first.tool_calls and not first.metadata
    return is_text and bool(second.tool_calls) and not second.content
