"""`tool_choice`: an answer that has to call a tool begins as its family writes a call of one.

How that is, the family's own renderer says: a conversation with a call is rendered with one set
of arguments and with another, and what both have in common behind the prompt is the beginning.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tuneglm.api.messages import Function
from tuneglm.api.refusals import Refusal
from tuneglm.api.schema import ChatRequest
from tuneglm.errors import DataError
from tuneglm.generate import ChatModel, Conversation

# arguments that have nothing in common but that they are some
SOME: Sequence[Mapping[str, Any]] = ({"a": 1}, {"b": "c"})
NONE: Mapping[str, Any] = {}


def openings(
    chat: ChatModel, conversation: Conversation, asked: ChatRequest
) -> tuple[tuple[int, ...], ...]:
    """Token ids with one of which the answer has to begin; none where it may be as it likes.

    Raises Refusal for a tool that is not there, and a model that has no form for a call.
    """
    if asked.tool_choice in (None, "none", "auto"):
        return ()
    functions = [tool.function for tool in asked.tools or []]
    if not functions:
        raise _refusal("`tool_choice` is only allowed when `tools` are specified.")
    wanted = "" if isinstance(asked.tool_choice, str) else asked.tool_choice.function.name
    chosen = [each for each in functions if wanted in ("", each.name)]
    if not chosen:
        raise _refusal(f"`tool_choice` names `{wanted}`, which is none of `tools`.")
    return tuple(_opening(chat, conversation, asked, each) for each in chosen)


def _opening(
    chat: ChatModel, conversation: Conversation, asked: ChatRequest, function: Function
) -> tuple[int, ...]:
    tools = asked.listed_tools
    prompt = chat.prompt(conversation, tools)
    calls = list(SOME)
    if not (function.parameters or {}).get("required"):
        calls.append(NONE)
    found = [_behind(chat, prompt, [*conversation, _call(function, each)], tools) for each in calls]
    opening = _common(found)
    if function.name not in chat.decode(list(opening)):
        raise _refusal("This model's chat template has no form for a call that has to come.")
    return opening


def _call(function: Function, arguments: Mapping[str, Any]) -> dict[str, Any]:
    called = {"name": function.name, "arguments": json.dumps(arguments)}
    calls = [{"type": "function", "function": called}]
    return {"role": "assistant", "content": "", "tool_calls": calls}


def _behind(
    chat: ChatModel,
    prompt: Sequence[int],
    conversation: Conversation,
    tools: Sequence[Mapping[str, Any]],
) -> tuple[int, ...]:
    """The ids of an answer behind its prompt; none where they do not begin with it."""
    try:
        ids = chat.conversation_ids(conversation, tools)
    except DataError:
        return ()
    return tuple(ids[len(prompt) :]) if ids[: len(prompt)] == list(prompt) else ()


def _common(rows: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """The ids with which all begin."""
    count = 0
    for same in zip(*rows, strict=False):
        if len(set(same)) > 1:
            break
        count += 1
    return rows[0][:count]


def _refusal(message: str) -> Refusal:
    return Refusal(400, message, param="tool_choice", code="invalid_value")
