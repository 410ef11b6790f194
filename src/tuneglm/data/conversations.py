"""Lists of messages: ShareGPT's `conversations` (from, value) and OpenAI's `messages`.

Both are read alike, since people mix them. Nothing is joined or left out in
silence, with these exceptions, in which nothing is lost: a blank system message
is none, and an assistant's text directly before its tool call is one message
with it, as OpenAI writes it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tuneglm.data.columns import (
    Columns,
    Row,
    RowError,
    checked,
    describe,
    empty,
    from_json,
    nearest,
    optional_text,
    printable,
    quoted,
    required,
)
from tuneglm.data.messages import Example, Message, Role
from tuneglm.data.tools import Tool, called_tools, listed_tools

# what people write → our role; `call` is a message that is nothing but a tool call
ROLE_NAMES: dict[str, str] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "prompter": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "function_call": "call",
    "tool_call": "call",
    "tool": "tool",
    "observation": "tool",
    "function": "tool",
    "function_response": "tool",
    "tool_response": "tool",
}
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
_FLAGS = ("weight", "loss", "trained")
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
    messages, tools = messages_of(value, columns[column])
    return Example(ordered([*system_of(row, columns), *messages]), tools_of(row, columns) + tools)


def system_of(row: Row, columns: Columns) -> list[Message]:
    """The message of the column `system`, unless it is blank."""
    system = optional_text(row, columns["system"], "system message")
    return [Message("system", system)] if system.strip() else []


def tools_of(row: Row, columns: Columns) -> tuple[Tool, ...]:
    """What the column `tools` lists."""
    value = row.get(columns["tools"])
    return () if value is None else listed_tools(value, f"`{columns['tools']}`")


def messages_of(value: object, column: str) -> tuple[list[Message], tuple[Tool, ...]]:
    """A list of messages, or its JSON text; and the tools that a system message may list."""
    value = from_json(value, f"the conversation (`{column}`)")
    if isinstance(value, Mapping):
        value = [value]
    if not isinstance(value, list):
        raise RowError(
            f"the conversation (`{column}`) should be a list of messages, found {describe(value)}"
        )
    if not value:
        raise RowError(f"the conversation (`{column}`) is empty", "fill it")
    messages: list[Message] = []
    tools: tuple[Tool, ...] = ()
    for number, item in enumerate(value, 1):
        place = f"message {number} of `{column}`"
        if not isinstance(item, Mapping):
            raise RowError(f"{place} should be an object `{{…}}`, found {describe(item)}")
        if item.get("tools") is not None:
            tools += listed_tools(item["tools"], f"`tools` in {place}")
        _append(messages, _turn(item, place))
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
    return RowError(sentence, remedy)


def _append(messages: list[Message], turn: list[Message]) -> None:
    for message in turn:
        last = messages[-1] if messages else None
        if last and _is_text_before_call(last, message) and last.trained == message.trained:
            messages[-1] = replace(last, tool_calls=message.tool_calls)
        else:
            messages.append(message)


def _is_text_before_call(first: Message, second: Message) -> bool:
    is_text = first.role == "assistant" and not first.tool_calls and not first.metadata
    return is_text and bool(second.tool_calls) and not second.content


def _turn(item: Row, place: str) -> list[Message]:
    """One entry of the list as a message; none for a blank system message."""
    name, role = _role(item, place)
    if role == "tool" and "observation" in item:
        return _call_and_result(item, place)
    trained = _trained(item, "assistant" if role == "call" else role, place)
    value = _first(item, "value", "content")
    if role == "call":
        calls = called_tools(value, f"{place} (`{name}`)")
        if not calls:
            raise empty(f"{place} (`{name}`)")
        return [Message("assistant", "", tool_calls=calls, trained=trained)]
    content = _content(value, place)
    if role == "assistant":
        return [_answer(item, content, trained, f"{place} (`{name}`)")]
    if role == "user" and not content.strip():
        raise empty(f"{place} (`{name}`)")
    if role == "system" and not content.strip():
        return []
    assert role in ("user", "system", "tool")
    return [Message(role, content)]  # type: ignore[arg-type]


def _answer(item: Row, content: str, trained: bool | None, place: str) -> Message:
    calls: tuple[Tool, ...] = ()
    for key in ("tool_calls", "function_call"):
        if item.get(key) is not None:
            calls += called_tools(item[key], f"`{key}` in {place}")
    metadata = optional_text(item, "metadata", f"metadata of {place}")
    if metadata.splitlines()[1:]:
        raise RowError(f"the metadata of {place} should be one line, found {describe(metadata)}")
    if item.get("reasoning_content"):
        raise RowError(
            f"{place} has a thought apart (`reasoning_content`)",
            "write it into the answer as the model does (`<think>…</think>`), or leave it out",
        )
    if not content.strip() and not calls and not metadata:
        raise empty(place)
    return Message("assistant", content, metadata, calls, trained)


def _call_and_result(item: Row, place: str) -> list[Message]:
    """`{role: tool, name, parameters, observation}`: a call and what the tool said, in one."""
    call = {"name": item.get("name"), "arguments": item.get("parameters")}
    trained = _trained(item, "assistant", place)
    result = item["observation"]
    content = _content(result, f"the observation in {place}")
    calls = called_tools(call, place)
    return [Message("assistant", "", tool_calls=calls, trained=trained), Message("tool", content)]


def _role(item: Row, place: str) -> tuple[str, str]:
    """(the name in the row, our role or `call`)."""
    name = _first(item, "from", "role")
    if name is None:
        raise RowError(
            f"{place} has no role: expected `role` or `from`, found {quoted(item)}",
            "write who speaks: user or assistant",
        )
    text = checked(name, f"the role of {place}")
    role = ROLE_NAMES.get(text.strip().lower())
    if role is None:
        near = nearest(text, ROLE_NAMES)
        raise RowError(
            f"{place} has the role `{printable(text)}`: expected one of "
            f"`{'`, `'.join(ROLE_NAMES)}`",
            f"if `{near}` is meant, write it" if near else "write who speaks: user or assistant",
        )
    return text, role


def _first(item: Row, *keys: str) -> Any:
    """The first of the keys that holds something: a table gives every row all keys."""
    for key in keys:
        value = item.get(key)
        if value is not None:
            return value
    return None


def _content(value: object, place: str) -> str:
    """A message's text, or its list of text parts joined; null is empty."""
    if value is None:
        return ""
    if not isinstance(value, list):
        return checked(value, place)
    texts = []
    for number, part in enumerate(value, 1):
        where = f"part {number} of {place}"
        if isinstance(part, Mapping):
            if part.get("text") is None:
                kind = printable(str(part.get("type", "")))
                raise RowError(f"{where} is no text: expected `text`, found the type `{kind}`")
            part = part["text"]
        texts.append(checked(part, where))
    return "".join(texts)


def _trained(item: Row, role: str, place: str) -> bool | None:
    """What `weight`, `loss` or `trained` say; None where the run's rule decides."""
    given = [(key, item[key]) for key in _FLAGS if item.get(key) is not None]
    if not given:
        return None
    for key, value in given:
        if not isinstance(value, bool | int | float) or value not in (0, 1):
            raise RowError(f"`{key}` in {place} should be 0 or 1, found {describe(value)}")
    flags = {bool(value) for _, value in given}
    if len(flags) > 1:
        raise RowError(f"{' and '.join(f'`{key}`' for key, _ in given)} in {place} disagree")
    flag = flags.pop()
    if role == "assistant":
        return flag
    if flag:
        raise RowError(
            f"{place} should be trained by `{given[0][0]}`, and is the {role}'s: "
            "only the assistant's messages can be",
            f"leave `{given[0][0]}` out",
        )
    return None
