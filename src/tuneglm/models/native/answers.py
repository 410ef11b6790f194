"""Calls of tools in the forms that chat templates teach.

<tool_call>name <arg_key>key</arg_key> <arg_value>value</arg_value> … </tool_call>
<tool_call>{"name": …, "arguments": {…}}</tool_call>
name, a line end, {…}
{"name": …, "parameters": {…}}
"""

import json
import re
from collections.abc import Collection, Sequence
from typing import Any

from tuneglm.models.answers import Answer, Call, decoded, json_text

_BLOCK = re.compile(r"<tool_call>(.*?)(?:</tool_call>|\Z)", re.S)
_PAIR = re.compile(r"<arg_key>(.*?)</arg_key>\s*<arg_value>(.*?)</arg_value>", re.S)


def read_answer(tokenizer: Any, ids: Sequence[int], tools: Collection[str]) -> Answer:
    """See `tuneglm.models.answers.ReadAnswer`."""
    if not tools:
        return Answer(decoded(tokenizer, ids))
    # the marks of a call are special tokens in some vocabularies
    marked: str = tokenizer.decode(list(ids), skip_special_tokens=False)
    calls = [call for block in _BLOCK.findall(marked) if (call := _call(block.strip(), tools))]
    if calls:
        before = marked.partition("<tool_call>")[0]
        for token in tokenizer.all_special_tokens:
            before = before.replace(token, "")
        return Answer(before.strip(), tuple(calls))
    text = decoded(tokenizer, ids)
    call = _call(text, tools)
    return Answer("", (call,)) if call else Answer(text)


def _call(text: str, tools: Collection[str]) -> Call | None:
    """One call, in whichever form; None where it is none of a known tool."""
    whole = _object(text)
    if isinstance(whole, dict):
        name = whole.get("name")
        arguments = whole.get("arguments", whole.get("parameters", {}))
        if name not in tools:
            return None
        given = arguments if isinstance(arguments, str) else _text(arguments)
        return Call(str(name), given)
    name, _, rest = text.partition("\n")
    pairs = _PAIR.findall(text)
    if pairs:
        name = text.partition("<arg_key>")[0]
        rest = _text({key.strip(): _value(value.strip()) for key, value in pairs})
    name, rest = name.strip(), rest.strip() or "{}"
    if name not in tools or not isinstance(_object(rest), dict):
        return None
    return Call(name, json_text(rest))


def _object(text: str) -> Any:
    try:
        return json.loads(json_text(text))
    except ValueError:
        return None


def _value(text: str) -> Any:
    """A value as JSON where it is written as such, else text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _text(arguments: Any) -> str:
    return json.dumps(arguments, ensure_ascii=False)
