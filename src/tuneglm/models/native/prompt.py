"""The prompt of a model that transformers knows: its tokenizer's chat template.

The template is asked for the whole conversation and, for each answer, for what
inference would send before it; what follows that is trained, up to the token
that ends the turn:

    template(messages)                         <|user|> … <|assistant|> answer <|user|>
    template(messages before, with the prompt) <|user|> … <|assistant|>
    trained                                                            ~~~~~~~~~~~~~~~~

Which token ends a turn, the template says too: it is the special token that
comes after an answer, or before whoever answers the answer.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jinja2 import TemplateError

from tuneglm.data.messages import Example, Message, Rendered
from tuneglm.errors import DataError, ModelError
from tuneglm.models.native.tokenization import Guard, Text, encode_texts
from tuneglm.models.prompt import name_and_arguments

Entry = dict[str, Any]

_QUESTION: Entry = {"role": "user", "content": "a"}
_ANSWER: Entry = {"role": "assistant", "content": "b"}
_CALL: Entry = {
    "role": "assistant",
    "content": "",
    "tool_calls": [{"type": "function", "function": {"name": "c", "arguments": {"d": "e"}}}],
}
_RESULT: Entry = {"role": "tool", "content": "f"}
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


@dataclass
class Spans:
    """A prompt's text and parts of it, as pairs of positions."""

    text: str
    trained: list[tuple[int, int]] = field(default_factory=list)
    contents: list[tuple[int, int]] = field(default_factory=list)


def render(
    tokenizer: Any, examples: Sequence[Example], *, generation_prompt: bool = False
) -> list[Rendered]:
    """See `tuneglm.models.family.Render`. Raises DataError where the template refuses a row."""
    form = format_of(tokenizer)
    guard = Guard.of(tokenizer)
    rows = [_Row(tokenizer, form, guard, example) for example in examples]
    spans = [row.prompt() if generation_prompt else row.conversation() for row in rows]
    texts = [Text(each.text, guard.sentinel) for each in spans]
    rendered = []
    for each, text, tokens in zip(spans, texts, encode_texts(tokenizer, texts), strict=True):
        trained = _flags(tokens.starts, [text.clean_span(span) for span in each.trained])
        contents = _flags(tokens.starts, [text.clean_span(span) for span in each.contents])
        rendered.append(Rendered(tokens.ids, trained, [not flag for flag in contents]))
    return rendered


def end_tokens(tokenizer: Any) -> tuple[int, ...]:
    """Ids at which an answer ends: the end of text, and what the template puts after an answer."""
    form = format_of(tokenizer)
    names = [tokenizer.eos_token, form.answer_end, form.call_end]
    ids: list[int] = tokenizer.convert_tokens_to_ids(list(dict.fromkeys(names)))
    return tuple(ids)


def format_of(tokenizer: Any) -> Format:
    """The template's format, found by trying it; raises ModelError where there is no template."""
    if not tokenizer.chat_template:
        raise ModelError(
            f"The tokenizer of `{tokenizer.name_or_path}` has no chat template.",
            "take the instruct or chat variant of the model, or put its chat_template.jinja "
            "into the folder",
        )
    if tokenizer.eos_token is None:
        raise ModelError(
            f"The tokenizer of `{tokenizer.name_or_path}` names no `eos_token`.",
            "write it into tokenizer_config.json",
        )
    question = _try(tokenizer, [_QUESTION])
    prompted = _try(tokenizer, [_QUESTION], add_generation_prompt=True)
    answer_end = _end(tokenizer, [_QUESTION, _ANSWER], _QUESTION) or tokenizer.eos_token
    call_end = _end(tokenizer, [_QUESTION, _CALL], _RESULT) or answer_end
    return Format(answer_end, call_end, prompted[len(question) :])


@dataclass(frozen=True)
class _Row:
    """One conversation in the template's own form, no special token in its texts."""

    tokenizer: Any
    form: Format
    guard: Guard
    example: Example

    def prompt(self) -> Spans:
        """What inference sends."""
        messages, tools = self._entries()
        text = self._text(messages, tools, generation_prompt=True)
        return Spans(text, [], self._contents(text, messages, tools, generation_prompt=True))

    def conversation(self) -> Spans:
        """The whole conversation, with the end of its last answer."""
        messages, tools = self._entries()
        spans = Spans(self._text(messages, tools))
        spans.contents = self._contents(spans.text, messages, tools)
        for index, message in enumerate(self.example.messages):
            if message.role == "assistant" and message.trained is not False:
                self._train(spans, index, messages, tools)
        return spans

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


def _try(tokenizer: Any, messages: list[Entry], **options: Any) -> str:
    """The template's text; empty where it refuses such a conversation."""
    try:
        text: str = tokenizer.apply_chat_template(messages, tokenize=False, **options)
    except (TemplateError, TypeError, ValueError):
        return ""
    return text


def _end(tokenizer: Any, messages: list[Entry], following: Entry) -> str | None:
    """The special token that ends the last message, or that comes after it."""
    shorter, longer = _try(tokenizer, messages), _try(tokenizer, [*messages, following])
    opening = _try(tokenizer, messages[:-1], add_generation_prompt=True)
    if not shorter or not longer.startswith(shorter):
        return None
    names = [name for name in tokenizer.all_special_tokens if name != tokenizer.bos_token]
    answer = shorter[len(common_prefix(opening, shorter)) :].rstrip()
    inside = [name for name in names if answer.endswith(name)]
    after = [name for name in names if longer.startswith(name, len(shorter))]
    return max(inside or after, key=len, default=None)


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


def _flags(starts: Sequence[int], spans: Sequence[tuple[int, int]]) -> list[bool]:
    """For each token, in the text's order, whether it starts in one of the spans."""
    flags = [False] * len(starts)
    for first, end in spans:
        inside = slice(bisect_left(starts, first), bisect_left(starts, end))
        flags[inside] = [True] * len(flags[inside])
    return flags
