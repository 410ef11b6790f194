"""The prompt of ChatGLM2.

    [gMASK] sop "[Round 1]\\n\\n问：…\\n\\n答：…\\n\\n[Round 2]\\n\\n问：…\\n\\n答：" "answer" </s>

The rounds are one text, encoded at once, and the last answer is encoded apart
with a dummy prefix of its own, as it is when the model generates it. Earlier
answers are part of the prompt's text: only the last one can be trained. The
format has no place for a system message; it is put before `[Round 1]`, with a
blank line after it. Nor has it one for tools: they are an error.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tuneglm.data.messages import Example, Message, Rendered
from tuneglm.models.prompt import PromptRow, encode_pieces, prompt_row

START = ("[gMASK]", "sop")
END = ("</s>",)

TEMPLATE = """\
[gMASK]<sop>
{%- set rounds = namespace(count=0) -%}
{%- for message in messages -%}
{%- if message.role == 'user' -%}
{%- set rounds.count = rounds.count + 1 -%}
{{ '[Round ' ~ rounds.count ~ ']\\n\\n问：' ~ message.content ~ '\\n\\n答：' }}
{%- else -%}
{{ message.content ~ '\\n\\n' }}
{%- endif -%}
{%- endfor -%}
"""


def render(
    tokenizer: Any, examples: Sequence[Example], *, generation_prompt: bool = False
) -> list[Rendered]:
    """See `tuneglm.models.family.Render`."""
    rows = [
        prompt_row(example, _parts, "ChatGLM2", generation_prompt=generation_prompt)
        for example in examples
    ]
    texts = [row.prompt for row in rows] + [row.answer for row in rows if row.answer is not None]
    pieces = encode_pieces(tokenizer, texts)
    start, end = (tokenizer.convert_tokens_to_ids(list(names)) for names in (START, END))
    prompts = [pieces[row.prompt] for row in rows]
    rendered = []
    for row, ids, special in zip(
        rows, prompts, _specials(tokenizer.piece_bytes, prompts, rows), strict=True
    ):
        result = Rendered()
        result.extend(start, special=True)
        result.extend(ids)
        result.special[len(start) :] = special
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
    parts = []
    rounds = 0
    for message in messages:
        if message.role == "user":
            rounds += 1
            parts += [(f"[Round {rounds}]\n\n问：", True), (message.content, False)]
            parts.append(("\n\n答：", True))
        else:
            parts += [(message.content, False), ("\n\n", True)]
    return parts


def _specials(
    piece_bytes: "np.ndarray[Any, Any]", prompts: Sequence[list[int]], rows: Sequence[PromptRow]
) -> Iterator[bytes]:
    """Which tokens of each prompt lie wholly in what the format wrote.

    Tokens are laid along the text by their lengths in bytes, all rows behind each
    other; a row's first token holds the dummy prefix, which is in no text. A model
    whose tokenizer changes the text (none that was published) gets no such flags.
    """
    lengths = [piece_bytes[ids] for ids in prompts]
    written = []
    for row, bytes_of in zip(rows, lengths, strict=True):
        marks = b"\1" + b"".join(
            (b"\1" if by_format else b"\0") * len(text.encode()) for text, by_format in row.parts
        )
        total = int(bytes_of.sum())
        written.append(marks if len(marks) == total else bytes(total))
    every = np.concatenate([*lengths, np.zeros(0, np.int64)])
    counts = np.concatenate(([0], np.cumsum(np.frombuffer(b"".join(written), dtype=np.uint8))))
    ends = np.cumsum(every)
    special = (counts[ends] - counts[ends - every] == every).tobytes()
    start = 0
    for ids in prompts:
        yield special[start : start + len(ids)]
        start += len(ids)
