"""What the prompts of the published families share: turns headed by role tokens, and tools.

A prompt is never tokenised as one text: the format's own tokens are put in by id
and the messages are encoded as plain text, so no message can forge a role. All
texts of all rows go through one bulk call.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tuneglm.data.messages import ROLES, Example, Message, Rendered
from tuneglm.errors import DataError

ROLE_TOKENS = {
    "system": "<|system|>",
    "user": "<|user|>",
    "assistant": "<|assistant|>",
    "tool": "<|observation|>",
}


class Tokenizer(Protocol):
    """What a renderer asks of a published family's tokenizer."""

    def encode_bulk(self, texts: Sequence[str]) -> list[list[int]]:
        """Texts → ids; the text of a special token stays text."""

    def convert_tokens_to_ids(self, tokens: list[str]) -> list[int]:
        """Tokens → ids, one each."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What stands between one role token and the next: a line of metadata, then the text."""

    role: str
    metadata: str
    content: str
    trained: bool = False
    calls: bool = False


# a tool call's name and arguments → the text of its turn
CallText = Callable[[Any], str]


@dataclass(frozen=True, slots=True)
class PromptRow:
    """A prompt of one text, in parts, each with whether the format wrote it; and the answer."""

    parts: tuple[tuple[str, bool], ...]
    answer: str | None
    trained: bool

    @property
    def prompt(self) -> str:
        """The whole text."""
        return "".join(text for text, _ in self.parts)


def prompt_row(
    example: Example,
    parts: Callable[[Sequence[Message]], Iterable[tuple[str, bool]]],
    name: str,
    *,
    generation_prompt: bool,
) -> PromptRow:
    """A conversation in a format of rounds, called `name`: all but the last answer is the prompt.

    Raises DataError where it calls tools, for which such a format has no place.
    """
    messages = list(example.messages)
    if example.tools or any(each.role == "tool" or each.tool_calls for each in messages):
        where = f" ({example.source})" if example.source else ""
        raise DataError(
            f"A conversation calls tools, for which {name}'s prompt has no place{where}.",
            "leave these rows out, or tune ChatGLM3, GLM-4 or a later model",
        )
    last = messages.pop() if messages and messages[-1].role == "assistant" else None
    trained = last is not None and last.trained is not False and not generation_prompt
    return PromptRow(tuple(parts(messages)), last.content if last else None, trained)


def encode_pieces(tokenizer: Tokenizer, texts: Iterable[str]) -> dict[str, list[int]]:
    """Each different text with its ids, from one call."""
    different = list(dict.fromkeys(texts))
    return dict(zip(different, tokenizer.encode_bulk(different), strict=True))


def turns_of(messages: Sequence[Message], call_text: CallText) -> list[Turn]:
    """Messages → turns: a message's text is one, each tool it calls is another."""
    turns = []
    for message in messages:
        trained = message.role == "assistant" and message.trained is not False
        calls = bool(message.metadata) and message.role == "assistant"
        if message.content or message.metadata or not message.tool_calls:
            turns.append(Turn(message.role, message.metadata, message.content, trained, calls))
        for call in message.tool_calls:
            name, arguments = name_and_arguments(call)
            turns.append(Turn(message.role, name, call_text(arguments), trained, calls=True))
    return turns


def render_turns(
    tokenizer: Tokenizer,
    rows: Sequence[Sequence[Turn]],
    start: Sequence[str],
    *,
    generation_prompt: bool,
) -> list[Rendered]:
    """Turns → ids: `start`, then for each turn its role token, metadata line and text.

    A turn's end is whatever the model has to write there: the next turn's role
    token, or after the last turn the role token of whoever answers it.
    """
    start_ids = tokenizer.convert_tokens_to_ids(list(start))
    roles = dict(
        zip(ROLE_TOKENS, tokenizer.convert_tokens_to_ids(list(ROLE_TOKENS.values())), strict=True)
    )
    heads = encode_pieces(tokenizer, (turn.metadata + "\n" for row in rows for turn in row))
    texts = encode_pieces(tokenizer, (turn.content for row in rows for turn in row))
    rendered = []
    for row in rows:
        result = Rendered()
        result.extend(start_ids, special=True)
        ends_answer = False
        for turn in row:
            trained = turn.trained and not generation_prompt
            result.extend((roles[turn.role],), trained=ends_answer, special=True)
            result.extend(heads[turn.metadata + "\n"], trained=trained, special=True)
            result.extend(texts[turn.content], trained=trained)
            ends_answer = trained
        if generation_prompt:
            result.extend((roles["assistant"],), special=True)
        elif ends_answer:
            answered_by = "tool" if row[-1].calls else "user"
            result.extend((roles[answered_by],), trained=True, special=True)
        rendered.append(result)
    return rendered


def function_of(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    """A tool's name, description and parameters, with or without OpenAI's wrapping."""
    function = tool.get("function", tool)
    return function if isinstance(function, Mapping) else tool


def name_and_arguments(call: Mapping[str, Any]) -> tuple[str, Any]:
    """A tool call's name and its arguments, read from their JSON text where they are text."""
    function = function_of(call)
    arguments = function.get("arguments", {})
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except json.JSONDecodeError:
            # kept as the text it is: a model that wrote it must be able to read it again
            return str(function.get("name", "")), arguments
    return str(function.get("name", "")), arguments


def example_of(
    conversation: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] | None
) -> Example:
    """A conversation as `apply_chat_template` takes it; nothing of it is trained."""
    return Example(tuple(_message(entry) for entry in conversation), tuple(tools or ()))


def _message(entry: Mapping[str, Any]) -> Message:
    # ChatGLM3's own name for what a tool answers
    role = "tool" if entry["role"] == "observation" else entry["role"]
    if role not in ROLES:
        raise DataError(f"There is no role `{role}`.", f"roles: {', '.join(ROLES)}")
    content = entry.get("content") or ""
    if not isinstance(content, str):
        content = "".join(part.get("text", "") for part in content)
    calls = tuple(entry.get("tool_calls") or ())
    return Message(role, content, entry.get("metadata") or "", calls, trained=False)
