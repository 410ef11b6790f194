"""The file of answers: whose they are is seen before a command goes on with it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from tuneglm.chat.questions import Question
from tuneglm.checkpoints import FULL
from tuneglm.errors import OutputError
from tuneglm.lock import locked


def answers_file(questions: Path, output: str | None) -> Path:
    """Where the answers go: the file that is named, or one beside the questions."""
    if output is None:
        return questions.with_name(f"{questions.stem}-answers.jsonl")
    path = Path(output).expanduser()
    if path.resolve() == questions.resolve():
        raise OutputError(f"`{path}` holds the questions.", "name another file by --output")
    return path


@contextmanager
def opened(path: Path) -> Iterator[IO[str]]:
    """A file of answers for this process alone; what stops its writing is one sentence."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+", encoding="utf-8", newline="\n")
    except OSError as error:
        raise OutputError(
            f"`{path}` cannot be written: {error.strerror}.", "name another file by --output"
        ) from None
    try:
        with file, locked(path, 0.0, "wait until it ends, or name another file by --output"):
            yield file
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise OutputError(
            f"There is no space left for `{path}`.",
            "free some space, and type the same command again: it goes on",
        ) from None
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"The answers so far are in {path}; the same command goes on."
        ) from None


def answered(
    path: Path, file: IO[str], questions: Sequence[Question], whom: Mapping[str, Any]
) -> int:
    """How many rows are answered; a line that a killed process left unfinished is removed."""
    file.seek(0)
    lines = file.read().split("\n")
    for place, (line, question) in enumerate(zip(lines[:-1], questions, strict=False)):
        _refuse_other(path, place + 1, line, question, whom)
    if len(lines) - 1 > len(questions):
        raise _other(path, "more answers than there are rows")
    whole = sum(len(line.encode()) + 1 for line in lines[:-1])
    file.truncate(whole)
    return len(lines) - 1


def _refuse_other(
    path: Path, number: int, line: str, question: Question, whom: Mapping[str, Any]
) -> None:
    try:
        row = json.loads(line)
        same = row["messages"] == question.messages
        theirs = {key: row[key] for key in whom}
    except (ValueError, TypeError, KeyError):
        raise _other(path, f"what is no answer, in line {number}") from None
    if not same:
        raise _other(path, f"the answer to another question, in line {number}")
    if theirs != whom:
        raise _other(path, f"answers of another model or with other settings: {_said(theirs)}")


def _said(whom: Mapping[str, Any]) -> str:
    settings = ", ".join(f"{name} {value}" for name, value in whom["settings"].items())
    return f"{', '.join(whom['model'])}, {settings or 'as they are'}"


def _other(path: Path, what: str) -> OutputError:
    return OutputError(f"`{path}` holds {what}.", "name another file by --output")
