"""What a model wrote, read back: text, and calls of tools in the form that its family writes."""

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from tuneglm.models.prompt import ROLE_TOKENS


@dataclass(frozen=True, slots=True)
class Call:
    """A tool that the model calls; `arguments` is JSON, or what stood there where it is none."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer's text, without the white space around it, and its calls."""

    content: str
    calls: tuple[Call, ...] = ()


# how an answer begins that may be a call as a whole, and what calls stand behind
OBJECTS = ("{", "```")
MARK = "<tool_call>"

# (tokenizer, ids of an answer without its end token, names of the tools) → the answer
ReadAnswer = Callable[[Any, Sequence[int], Collection[str]], Answer]


def read_text(tokenizer: Any, ids: Sequence[int], tools: Collection[str]) -> Answer:
    """An answer of a family that calls no tools."""
    return Answer(decoded(tokenizer, ids))


def read_turns(
    tokenizer: Any,
    ids: Sequence[int],
    tools: Collection[str],
    arguments_of: Callable[[str], str],
) -> Answer:
    """An answer in turns: one whose first line is a tool's name calls it, the others are text."""
    (assistant,) = tokenizer.convert_tokens_to_ids([ROLE_TOKENS["assistant"]])
    texts, calls = list[str](), list[Call]()
    for turn in _split(ids, assistant):
        text = decoded(tokenizer, turn)
        name, _, rest = text.partition("\n")
        if name.strip() in tools:
            calls.append(Call(name.strip(), arguments_of(rest.strip())))
        elif text:
            texts.append(text)
    return Answer("\n".join(texts), tuple(calls))


def plain_part(text: str, tools: Collection[str]) -> str:
    """Of an answer that is still being written, what cannot be the beginning of a call any more."""
    if text.lstrip().startswith(OBJECTS):
        return ""
    lines = text.splitlines(keepends=True)
    end = 0
    for line in lines:
        word = line.strip()
        is_whole = line != word and line.endswith("\n")
        begins = word in tools if is_whole else any(tool.startswith(word) for tool in tools)
        if word and begins:
            break
        place = line.find(MARK)
        if place >= 0:
            return text[: end + place]
        end += len(line)
    held = (length for length in range(1, len(MARK)) if text[:end].endswith(MARK[:length]))
    return text[: end - max(held, default=0)]


def json_text(text: str) -> str:
    """JSON without the fence that a model may put around it."""
    bare = text.strip()
    if bare.startswith("```"):
        bare = bare.partition("\n")[2].removesuffix("```").strip()
    try:
        json.loads(bare)
    except ValueError:
        return text
    return bare


def decoded(tokenizer: Any, ids: Sequence[int]) -> str:
    """Text without special tokens, nor white space around it."""
    text: str = tokenizer.decode(list(ids), skip_special_tokens=True)
    return text.strip()


def _split(ids: Sequence[int], mark: int) -> list[list[int]]:
    parts: list[list[int]] = [[]]
    for token in ids:
        if token == mark:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts
