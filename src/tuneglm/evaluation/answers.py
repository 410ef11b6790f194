"""Answers to rows, written as they come: a run that was stopped goes on behind the last one.

A line of the file is `{"label": …, "predict": …}`, as ChatGLM's tuning scripts write it.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from tuneglm.config import ChatConfig
from tuneglm.evaluation.sets import Asked, EvaluatedSet, asked_of
from tuneglm.generate import ChatModel

Pair = tuple[str, str]  # an answer, and what was expected
Tell = Callable[[int], None]  # rows answered so far


def answered(file: Path) -> list[Pair]:
    """What a file holds in whole lines; what a killed run left of a line is cut away."""
    if not file.is_file():
        return []
    content = file.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        file.write_bytes(whole)
    lines = [json.loads(line) for line in whole.decode("utf-8").splitlines()]
    return [(line["predict"], line["label"]) for line in lines]


def write_answers(
    load: Callable[[], ChatModel],
    sets: Sequence[EvaluatedSet],
    file: Path,
    drawing: ChatConfig,
    batch: int,
    tell: Tell = lambda _: None,
) -> list[Pair]:
    """The answers to the rows of all sets, in their order; those that are there are not asked for.

    Raises KeyboardInterrupt, with what is kept, where a person stops it.
    """
    rows = [row for each in sets for row in each.rows]
    done = answered(file)
    if len(done) >= len(rows):
        return done[: len(rows)]
    chat = load()
    # what a killed run had written of a batch is asked again, in the same company
    done = done[: len(done) // batch * batch]
    try:
        with file.open("w", encoding="utf-8", newline="\n") as output:
            output.write("".join(map(_line, done)))
            for start in range(len(done), len(rows), batch):
                asked = [asked_of(row, chat.end_tokens) for row in rows[start : start + batch]]
                done += _answered(chat, asked, drawing, batch, start)
                output.write("".join(map(_line, done[start:])))
                output.flush()
                tell(len(done))
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"The first {len(answered(file)):,} of {len(rows):,} answers are kept in `{file}`: the "
            "same command goes on from there."
        ) from None
    return done


def _answered(
    chat: ChatModel, asked: Sequence[Asked], drawing: ChatConfig, batch: int, start: int
) -> list[Pair]:
    if drawing.temperature > 0:
        # so that a run that goes on draws what an uninterrupted one would
        drawing = drawing.model_copy(update={"seed": (drawing.seed or 0) + start})
    answers = chat.padded_answers([each.prompt for each in asked], drawing, batch)
    labels = [chat.decode(each.label).strip() for each in asked]
    return list(zip(answers, labels, strict=True))


def _line(pair: Pair) -> str:
    answer, label = pair
    return json.dumps({"label": label, "predict": answer}, ensure_ascii=False) + "\n"
