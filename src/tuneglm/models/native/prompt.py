"""The prompt of a model that transformers knows: its tokenizer's chat template.

Which token ends a turn, the template says too: it is the special token that
comes after an answer, or before whoever answers the answer.
"""

from collections.abc import Sequence
from typing import Any

from jinja2 import TemplateError

from tuneglm.data.messages import FLAGS, Example, Rendered
from tuneglm.errors import ModelError
from tuneglm.models.native.conversation import Conversation, Entry, Format, Part, common_prefix
from tuneglm.models.native.shapes import Shapes
from tuneglm.models.native.tokenization import Guard, Tokens, encode_parts

_QUESTION: Entry = {"role": "user", "content": "a"}
_ANSWER: Entry = {"role": "assistant", "content": "b"}
_CALL: Entry = {
    "role": "assistant",
    "content": "",
    "tool_calls": [{"type": "function", "function": {"name": "c", "arguments": {"d": "e"}}}],
}
_RESULT: Entry = {"role": "tool", "content": "f"}


def render(
    tokenizer: Any, examples: Sequence[Example], *, generation_prompt: bool = False
) -> list[Rendered]:
    """See `tuneglm.models.family.Render`. Raises DataError where the template refuses a row."""
    form, guard = format_of(tokenizer), Guard.of(tokenizer)
    if generation_prompt:
        rows = [Conversation(tokenizer, form, guard, example).prompt() for example in examples]
    else:
        shapes = Shapes(tokenizer, form, guard)
        rows = [shapes.parts(example) for example in examples]
    encoded = encode_parts(tokenizer, [[part.text for part in parts] for parts in rows], guard)
    return [_rendered(parts, tokens) for parts, tokens in zip(rows, encoded, strict=True)]


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


def _rendered(parts: Sequence[Part], tokens: Tokens) -> Rendered:
    """Ids, each with the flags of the part in which it begins."""
    rendered = Rendered(tokens.ids)
    for part, count in zip(parts, tokens.counts, strict=True):
        rendered.trained.extend(FLAGS[part.trained] * count)
        rendered.special.extend(FLAGS[not part.content] * count)
    return rendered
