"""Many questions of a file, answered into another: `--prompt-file`, which can be stopped.

Each answer is a line, written when it is there. The same command goes on behind the last
whole line, after it has been seen that the lines before are answers to these rows, by
this model and with these settings.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from tuneglm.chat.answers_file import answered, opened
from tuneglm.chat.questions import Question
from tuneglm.chat.repetition import Circle, circle_of, without_circle
from tuneglm.chat.voices import Voice
from tuneglm.config import ChatConfig
from tuneglm.reports.terminal import console, rows_of

# rows that are asked together; those whose prompts are of one length make a batch
TOGETHER = 16


def answer_all(
    voices: Sequence[Voice], config: ChatConfig, questions: Sequence[Question], path: Path
) -> None:
    """Answer every row that is not answered yet; raises OutputError for a file of other answers."""
    with opened(path) as file:
        done = answered(path, file, questions, _of_whom(voices, config))
        if done:
            terminal = console(stderr=True)
            terminal.print(f"Goes on: {done} of {rows_of(len(questions))} are answered already")
        _answer_rest(file, questions[done:], voices, config, (done, len(questions)))


def _of_whom(voices: Sequence[Voice], config: ChatConfig) -> dict[str, Any]:
    """What every line says of whose answer it is."""
    settings = config.model_dump(exclude_defaults=True)
    return {"model": [voice.name for voice in voices], "settings": settings}


def _answer_rest(
    file: IO[str],
    questions: Sequence[Question],
    voices: Sequence[Voice],
    config: ChatConfig,
    count: tuple[int, int],
) -> None:
    """`count`: how many are done, and of how many."""
    whom = _of_whom(voices, config)
    circles = 0
    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    terminal = console(stderr=True)
    quiet = not terminal.is_terminal
    with Progress(*columns, console=terminal, transient=True, disable=quiet) as progress:
        task = progress.add_task("Answers", completed=count[0], total=count[1])
        for some in _parts(questions):
            conversations = [question.messages for question in some]
            answers = [voice.replies(conversations, config) for voice in voices]
            for question, given in zip(some, zip(*answers, strict=True), strict=True):
                ended = [circle_of(answer) for answer in given]
                row = _row(question, given, ended, whom["model"]) | whom
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
                circles += any(ended)
            file.flush()
            progress.advance(task, len(some))
    if circles:
        print(
            f"Note: the answers to {rows_of(circles)} ran in circles and were stopped; `repeated` "
            "in their lines says what was repeated.\n"
            "  hint: --repetition-penalty 1.1 makes it less likely",
            file=sys.stderr,
        )


def _row(
    question: Question, answers: Sequence[str], ended: Sequence[Circle | None], names: Sequence[str]
) -> dict[str, Any]:
    """A line; an answer that was stopped in a circle keeps its first copy, as at the terminal."""
    texts = [
        text if circle is None else without_circle(text, circle)
        for text, circle in zip(answers, ended, strict=True)
    ]
    words = [None if circle is None else circle.unit for circle in ended]
    row = {"row": question.row, "messages": question.messages, "answer": _by_name(texts, names)}
    if any(ended):
        row["repeated"] = _by_name(words, names)
    return row if question.expected is None else row | {"expected": question.expected}


def _by_name(each: Sequence[Any], names: Sequence[str]) -> Any:
    """Of the one that answers, or of each by its name."""
    return each[0] if len(names) == 1 else dict(zip(names, each, strict=True))


def _parts(questions: Sequence[Question]) -> Iterator[list[Question]]:
    rest = iter(questions)
    while some := list(islice(rest, TOGETHER)):
        yield some
