"""One entry of a list of messages, under whatever keys people write it."""

from collections.abc import Mapping
from typing import Any

from tuneglm.data.columns import (
    Columns,
    Row,
    RowError,
    checked,
    describe,
    empty,
    is_blank,
    nearest,
    optional_text,
    printable,
    quoted,
)
from tuneglm.data.messages import Message
from tuneglm.data.tools import Tool, called_tools

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
_INSTEAD_OF_TEXT = ("tool_calls", "function_call", "metadata", "tools")
_FLAGS = ("weight", "loss", "trained")
# under which keys a message says what
_KEYS = {"role": ("from", "role"), "content": ("value", "content")}
# a name in `columns` → our role, for which a file may have a word of its own
_WORDS = {
    f"role.{role}": role for role in ("system", "user", "assistant", "function_call", "observation")
}
# what a run may say that the messages of a file call otherwise: two keys, and who speaks
MESSAGE_WORDS = (*_KEYS, *_WORDS)


def in_our_words(item: Row, columns: Columns) -> Row:
    """An entry with the keys and words that `turn` knows, where `columns` names the file's."""
    keys = {key: columns[key] for key in _KEYS if columns[key] != key}
    words = {columns[name]: role for name, role in _WORDS.items() if columns[name] != name}
    if not keys and not words:
        return item
    others = {key: value for key, value in item.items() if key not in keys.values()}
    ours = {**others, **{key: item[theirs] for key, theirs in keys.items() if theirs in item}}
    name = _first(ours, *_KEYS["role"])
    if isinstance(name, str) and name in words:
        ours = {**ours, "from": words[name]}
    return ours


def is_understood(name: str, word: object) -> bool:
    """Whether `turn` takes the word for what `name`, one of MESSAGE_WORDS, says already."""
    if name in _KEYS:
        return word in _KEYS[name]
    return ROLE_NAMES.get(str(word)) == ROLE_NAMES[_WORDS[name]]


def turn(item: Row, place: str) -> list[Message]:
    """One entry of the list as a message; none for a blank system message."""
    name, role = _role(item, place)
    if role == "tool" and "observation" in item:
        return _call_and_result(item, place)
    trained = _trained(item, "assistant" if role == "call" else role, place)
    value = _first(item, *_KEYS["content"])
    if not any(key in item for key in (*_KEYS["content"], *_INSTEAD_OF_TEXT)):
        raise RowError(
            f"{place} has no text: expected `content` or `value`, found {quoted(item)}",
            "write what was said",
            "missing_column",
        )
    if role == "call":
        calls = called_tools(value, f"{place} (`{name}`)")
        if not calls:
            raise empty(f"{place} (`{name}`)")
        return [Message("assistant", "", tool_calls=calls, trained=trained)]
    content = _content(value, place)
    if role == "assistant":
        return [_answer(item, content, trained, f"{place} (`{name}`)")]
    if role == "user" and is_blank(content):
        raise empty(f"{place} (`{name}`)", role)
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
    if is_blank(content) and not calls and not metadata:
        raise empty(place, "assistant")
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
    name = _first(item, *_KEYS["role"])
    if name is None:
        raise RowError(
            f"{place} has no role: expected `role` or `from`, found {quoted(item)}",
            "write who speaks: user or assistant",
            "missing_column",
        )
    text = checked(name, f"the role of {place}")
    role = ROLE_NAMES.get(text.strip().lower())
    if role is None:
        near = nearest(text, ROLE_NAMES)
        raise RowError(
            f"{place} has the role `{printable(text)}`: expected one of "
            f"`{'`, `'.join(ROLE_NAMES)}`",
            f"if `{near}` is meant, write it" if near else "write who speaks: user or assistant",
            "unknown_role",
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
