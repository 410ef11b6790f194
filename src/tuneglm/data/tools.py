"""Tools that a row lists, and calls of them, in the ways people write them."""

from collections.abc import Mapping
from typing import Any

from tuneglm.data.columns import RowError, checked, checked_json, describe, from_json

Tool = Mapping[str, Any]


def listed_tools(value: object, meaning: str) -> tuple[Tool, ...]:
    """A list of tools, or its JSON text; with or without OpenAI's wrapping; null is none."""
    tools = from_json(value, meaning)
    if tools is None:
        return ()
    if not isinstance(tools, list):
        raise RowError(
            f"{meaning} should be a list of tools, found {describe(tools)}", problem="bad_tool"
        )
    for number, tool in enumerate(tools, 1):
        place = f"tool {number} of {meaning}"
        checked_json(tool, place)
        _name(_function(tool, place), place)
    return tuple(tools)


def called_tools(value: object, meaning: str) -> tuple[Tool, ...]:
    """One call or a list of calls, or its JSON text, each as `{name, arguments}`."""
    calls = from_json(value, meaning)
    if calls is None:
        return ()
    if isinstance(calls, Mapping):
        return (_call(calls, meaning),)
    if not isinstance(calls, list):
        raise RowError(
            f"{meaning} should be a call `{{name, arguments}}` or a list of calls, "
            f"found {describe(calls)}",
            problem="bad_tool",
        )
    return tuple(_call(call, f"call {number} of {meaning}") for number, call in enumerate(calls, 1))


def _call(value: object, place: str) -> Tool:
    function = _function(value, place)
    name = _name(function, place)
    meaning = f"the arguments of {place}"
    arguments = from_json(function.get("arguments"), meaning)
    if arguments is None:
        arguments = {}
    if not isinstance(arguments, Mapping):
        raise RowError(
            f"{meaning} should be an object `{{…}}`, found {describe(arguments)}",
            problem="bad_tool",
        )
    return {"name": name, "arguments": checked_json(arguments, meaning)}


def _function(value: object, place: str) -> Tool:
    """The part with the name, with or without OpenAI's wrapping."""
    if not isinstance(value, Mapping):
        raise RowError(
            f"{place} should be an object `{{…}}`, found {describe(value)}", problem="bad_tool"
        )
    function = value.get("function")
    return function if isinstance(function, Mapping) else value


def _name(function: Tool, place: str) -> str:
    name = function.get("name")
    if name is None or name == "":
        raise RowError(f"{place} has no name: expected `name`", "write the tool's name", "bad_tool")
    text = checked(name, f"the name of {place}")
    if text.splitlines() != [text] or not text.strip():
        raise RowError(
            f"the name of {place} should be one line, found {describe(text)}", problem="bad_tool"
        )
    return text
