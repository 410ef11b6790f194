"""One conversation as a chat template writes it, and which parts of it are what.

The template is asked for the whole conversation and, for each answer, for what
inference would send before it; what follows that is trained, up to the token
that ends the turn:

    template(messages)                         <|user|> … <|assistant|> answer <|user|>
    template(messages before, with the prompt) <|user|> … <|assistant|>
    trained                                                            ~~~~~~~~~~~~~~~~
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from jinja2 import TemplateError

from tuneglm.data.messages import Example, Message
from tuneglm.errors import DataError
from tuneglm.models.native.tokenization import Guard
from tuneglm.models.prompt import name_and_arguments

Entry = dict[str, Any]

# around a message's text while its place in the prompt is looked for
_OPEN, _CLOSE = "\U000f0000", "\U000f0001"


@dataclass(frozen=True)
class Format:
    """What a template does in every conversation.

    answer_end, call_end  the text of the token that ends an answer or a tool call
    prompt                what it writes before an answer
    """

    answer_end: str
    call_end: str
    prompt: str


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a prompt: whether it is trained, and whether it is what somebody says."""

    text: str
    trained: bool
    content: bool


@dataclass
class Spans:
    """A prompt's text and parts of it, as pairs of positions."""

    text: str
    trained: list[tuple[int, int]] = field(default_factory=list)
    contents: list[tuple[int, int]] = field(default_factory=list)

    def parts(self) -> list[Part]:
        """The text, cut where one of the spans begins or ends."""
        spans = [*self.trained, *self.contents]
        places = sorted({0, len(self.text), *(at for span in spans for at in span)})
        return [
            Part(self.text[first:end], _is_in(first, self.trained), _is_in(first, self.contents))
            for first, end in pairwise(places)
        ]


@dataclass(frozen=True)
class Conversation:
    """One conversation in the template's own form, no special token in its texts."""

    tokenizer: Any
    form: Format
    guard: Guard
    example: Example

    def prompt(self) -> list[Part]:
        """What inference sends."""
        messages, tools = self._entries()
        text = self._text(messages, tools, generation_prompt=True)
        contents = self._contents(text, messages, tools, generation_prompt=True)
        return Spans(text, [], contents).parts()

    def whole(self) -> list[Part]:
        """The whole conversation, with the end of its last answer."""
        messages, tools = self._entries()
        spans = Spans(self._text(messages, tools))
        spans.contents = self._contents(spans.text, messages, tools)
        for index, message in enumerate(self.example.messages):
            if message.role == "assistant" and message.trained is not False:
                self._train(spans, index, messages, tools)
        return spans.parts()

    def _train(self, spans: Spans, index: int, messages: list[Entry], tools: Any) -> None:
        start = self._start(spans.text, index, messages, tools)
        last = index == len(messages) - 1
        through = spans.text if last else self._text(messages[: index + 1], tools)
        known = spans.text.startswith(through)
        limit = len(through) if known else self._next_content(spans, index, start)
        end = self._end_token(spans.text, start, limit)
        if end is None and last:
            calls = bool(messages[index].get("tool_calls"))
            spans.text += self.form.call_end if calls else self.form.answer_end
            end = len(spans.text)
        if end is None and not known:
            raise self._not_found(index)
        spans.trained.append((start, limit if end is None else end))
        if not any(start <= first < spans.trained[-1][1] for first, _ in spans.contents):
            # the template rewrote the answer: all but the token that ends it is text
            spans.contents.append((start, limit if known else spans.trained[-1][1]))

    def _start(self, text: str, index: int, messages: list[Entry], tools: Any) -> int:
        """Where the answer begins: after what inference would have sent."""
        if index == 0:
            place = text.find(self.form.prompt)
            if place < 0:
                raise self._not_found(index)
            return place + len(self.form.prompt)
        prompt = self._text(messages[:index], tools, generation_prompt=True)
        if text.startswith(prompt):
            return len(prompt)
        # a prompt may open a thought which the template leaves out of the conversation
        if text.startswith(self._text(messages[:index], tools)):
            return len(common_prefix(text, prompt))
        raise self._not_found(index)

    def _end_token(self, text: str, start: int, limit: int) -> int | None:
        """Where the last token that ends a turn ends, of those from `start` to `limit` or at it."""
        ends = (self.tokenizer.eos_token, self.form.answer_end, self.form.call_end)
        for end in ends:
            if text.startswith(end, limit):
                return limit + len(end)
        places = [(text.rfind(end, start, limit), end) for end in ends]
        place, end = max(places)
        return place + len(end) if place >= 0 else None

    def _next_content(self, spans: Spans, index: int, start: int) -> int:
        """Where the text after an answer begins whose own length the template changed."""
        following = self.example.messages[index + 1].content.strip()
        place = spans.text.find(following, start)
        if not following or place < 0:
            raise self._not_found(index)
        ends = (self.form.answer_end, self.form.call_end, self.tokenizer.eos_token)
        first = [found for end in ends if (found := spans.text.find(end, start, place)) >= 0]
        if not first:
            raise self._not_found(index)
        return min(first)

    def _contents(
        self, text: str, messages: list[Entry], tools: Any, *, generation_prompt: bool = False
    ) -> list[tuple[int, int]]:
        """Where the messages' texts stand: by marks around them, else by looking for them."""
        marked = [{**each, "content": _OPEN + each["content"] + _CLOSE} for each in messages]
        try:
            found = _parts(self._text(marked, tools, generation_prompt=generation_prompt))
        except DataError:
            found = None
        if found is not None and found.text == text:
            return found.contents
        spans, position = [], 0
        for message in messages:
            content = message["content"].strip()
            place = text.find(content, position)
            if content and place >= 0:
                position = place + len(content)
                spans.append((place, position))
        return spans

    def _entries(self) -> tuple[list[Entry], Any]:
        messages = [_entry(message) for message in self.example.messages]
        guarded: list[Entry] = [
            {**self.guard.apply(entry), "role": entry["role"]} for entry in messages
        ]
        return guarded, self.guard.apply([dict(tool) for tool in self.example.tools]) or None

    def _text(self, messages: list[Entry], tools: Any, *, generation_prompt: bool = False) -> str:
        try:
            text: str = self.tokenizer.apply_chat_template(
                messages, tools=tools, tokenize=False, add_generation_prompt=generation_prompt
            )
        except (TemplateError, TypeError, ValueError) as error:
            raise DataError(
                f"The model's chat template refuses a conversation{self._where()}: {error}",
                "leave the row out, or bring its roles into the order that the model knows",
            ) from None
        return text

    def _not_found(self, index: int) -> DataError:
        return DataError(
            f"The model's chat template hides where answer {index + 1} of a conversation "
            f"stands{self._where()}.",
            "train on the last answer alone: data.train_on=last",
        )

    def _where(self) -> str:
        return f" ({self.example.source})" if self.example.source else ""


def _is_in(place: int, spans: list[tuple[int, int]]) -> bool:
    return any(first <= place < end for first, end in spans)


def _entry(message: Message) -> Entry:
    entry: Entry = {"role": message.role, "content": message.content}
    if message.metadata:
        entry["metadata"] = message.metadata
    if message.tool_calls:
        entry["tool_calls"] = [_call(call) for call in message.tool_calls]
    return entry


def _call(call: Mapping[str, Any]) -> Entry:
    name, arguments = name_and_arguments(call)
    return {"type": "function", "function": {"name": name, "arguments": arguments}}


def _parts(marked: str) -> Spans:
    """A text without its marks, and what stood between them."""
    spans = Spans("")
    head, *pieces = marked.split(_OPEN)
    spans.text = head
    for piece in pieces:
        content, _, tail = piece.partition(_CLOSE)
        spans.contents.append((len(spans.text), len(spans.text) + len(content)))
        spans.text += content + tail
    return spans


def common_prefix(first: str, second: str) -> str:
    """What two texts begin with alike."""
    pairs = zip(first, second, strict=False)
    length = next(
        (at for at, (one, other) in enumerate(pairs) if one != other), min(len(first), len(second))
    )
    return first[:length]
