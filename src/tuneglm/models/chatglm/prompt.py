"""The prompt of ChatGLM-6B.

    "question" [gMASK] <sop> "answer" <eop>
    "[Round 0]\\n问：…\\n答：…\\n[Round 1]\\n问：…\\n答：" [gMASK] <sop> "answer" <eop>

The rounds are one text, encoded at once; a first question stands alone. The last
answer is encoded apart, with a dummy prefix of its own, as it is when the model
generates it. Earlier answers are part of the prompt's text: only the last one
can be trained. The format has no place for a system message; it is put before
all else, on a line of its own. Nor has it one for tools: they are an error.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from tuneglm.data.messages import Example, Message, Rendered
from tuneglm.models.prompt import PromptRow, encode_pieces, prompt_row

START = ("[gMASK]", "<sop>")
END = ("<eop>",)

TEMPLATE = """\
{%- set users = messages | selectattr('role', 'equalto', 'user') | list -%}
{%- set rounds = namespace(count=0) -%}
{%- for message in messages -%}
{%- if message.role == 'user' -%}
{%- if users | length == 1 -%}
{{ message.content }}
{%- else -%}
{{ '[Round ' ~ rounds.count ~ ']\\n问：' ~ message.content ~ '\\n答：' }}
{%- endif -%}
{%- set rounds.count = rounds.count + 1 -%}
{%- elif message.role == 'assistant' and loop.last -%}
{{ '[gMASK]<sop>' ~ message.content ~ '<eop>' }}
{%- else -%}
{{ message.content ~ '\\n' }}
{%- endif -%}
{%- endfor -%}
{%- if messages[-1].role != 'assistant' -%}
{{ '[gMASK]<sop>' }}
{%- endif -%}
"""


def render(
    tokenizer: Any, examples: Sequence[Example], *, generation_prompt: bool = False
) -> list[Rendered]:
    """See `tuneglm.models.family.Render`."""
    rows = [
        prompt_row(example, _parts, "ChatGLM", generation_prompt=generation_prompt)
        for example in examples
    ]
    questions = [row.prompt for row in rows if not _in_rounds(row)]
    answers = [row.answer for row in rows if row.answer is not None]
    pieces = encode_pieces(tokenizer, questions + answers)
    rounds = _encode_rounds(tokenizer, [row for row in rows if _in_rounds(row)])
    start, end = (tokenizer.convert_tokens_to_ids(list(names)) for names in (START, END))
    rendered = []
    for row in rows:
        result = Rendered()
        if _in_rounds(row):
            ids, special = next(rounds)
            result.extend(ids)
            result.special[:] = special
        else:
            result.extend(pieces[row.prompt])
        result.extend(start, special=True)
        if row.answer is not None:
            result.extend(pieces[row.answer], trained=row.trained)
        if row.trained:
            result.extend(end, trained=True, special=True)
        rendered.append(result)
    return rendered


def end_tokens(tokenizer: Any) -> tuple[int, ...]:
    """Ids at which an answer ends."""
    return tuple(tokenizer.convert_tokens_to_ids(list(END)))


def _parts(messages: Sequence[Message]) -> list[tuple[str, bool]]:
    """The prompt's text in parts, each with whether the format wrote it."""
    alone = sum(message.role == "user" for message in messages) == 1
    parts = []
    rounds = 0
    for message in messages:
        if message.role == "user" and alone:
            parts.append((message.content, False))
        elif message.role == "user":
            parts += [(f"[Round {rounds}]\n问：", True), (message.content, False)]
            parts.append(("\n答：", True))
            rounds += 1
        else:
            parts += [(message.content, False), ("\n", True)]
    return parts


def _in_rounds(row: PromptRow) -> bool:
    return any(by_format for _, by_format in row.parts)


def _encode_rounds(
    tokenizer: Any, rows: Sequence[PromptRow]
) -> Iterator[tuple[list[int], list[bool]]]:
    """(ids, which of them the format wrote) of prompts in rounds, in order.

    The fast tokenizer tells which characters each token stands for; the C++
    library, which encodes all other texts, tells it of its own normalised text.
    """
    if not rows:
        return
    encoded = tokenizer(
        [row.prompt for row in rows], add_special_tokens=False, return_offsets_mapping=True
    )
    for row, ids, offsets in zip(
        rows, encoded["input_ids"], encoded["offset_mapping"], strict=True
    ):
        written = [by_format for text, by_format in row.parts for _ in text]
        yield ids, [start < end and all(written[start:end]) for start, end in offsets]
