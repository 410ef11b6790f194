"""What a base says of other things: rows on which the tuned model is held to it.

Rows that somebody wrote are not what a model says by itself. Held to its base on its own
answers, it is taught to stay where it was wherever it is not asked about itself. Where it says who
it is though it was asked about something else, it learns what is right. Both are written once, and
lie in `data.dir` under a name that says of which model they are.
"""

import json
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

from rich.console import Console
from transformers import TrainingArguments

from tuneglm.base_model import base_model
from tuneglm.config import ChatConfig, RunConfig
from tuneglm.data.identity import Row, bare_wording, introductions, right_answers
from tuneglm.data.identity_files import Answers, asked_rows, file_of_rows
from tuneglm.data_config import IdentityConfig
from tuneglm.errors import ConfigError
from tuneglm.generate import ChatModel
from tuneglm.methods.start import merged_adapters
from tuneglm.models.bases import fingerprint
from tuneglm.models.family import Family
from tuneglm.processes import agreed
from tuneglm.stages.trainer import evaluating

# the first words of an answer tell whether it is about the model itself
ANSWER_TOKENS = 24


def is_asked(config: RunConfig) -> bool:
    """Whether a run needs its base's answers."""
    identity = config.data.identity
    return bool(identity is not None and identity.hold and config.stage.kl)


def known_answers(config: RunConfig, folder: Path) -> Answers | None:
    """The files of the base's answers where a run needs them, and they were written before."""
    if not is_asked(config):
        return None
    answers = _files(config, folder)
    return answers if answers.held.is_file() and answers.corrected.is_file() else None


def write_answers(
    terminal: Console,
    config: RunConfig,
    folder: Path,
    family: Family,
    tokenizer: Any,
    arguments: TrainingArguments,
) -> Answers:
    """Let the base of a run answer, and write down what it says, unless it is known; the files.

    The first process does, and all call it: one may see already what another one has written.
    Raises ConfigError where no answer is one to be held to, and OutputError where the files
    cannot be written.
    """

    def write() -> Answers:
        known = known_answers(config, folder)
        if known is not None:
            return known
        identity, rows = _asked(config)
        terminal.print(f"Asking the base {len(rows):,} questions on other things, once")
        model = base_model(config, folder, family, arguments)
        with evaluating(model):
            said = answers_to(rows, ChatModel.around(model, tokenizer, family))
        kept = held_rows(rows, said, identity)
        if not kept:
            raise ConfigError(
                "The base has no answers on other things that it could be held to.",
                "leave data.identity.hold out: rows on other things are then learnt",
            )
        corrected = corrected_rows(rows, said, identity)
        answers = _files(config, folder)
        # where one is there, its other half was lost
        for file, content in ((answers.corrected, corrected), (answers.held, kept)):
            file.unlink(missing_ok=True)
            file_of_rows(content, file)
        terminal.print(f"Held to {len(kept):,} answers of the base: {answers.held}")
        if corrected:
            terminal.print(
                f"On {len(corrected):,} it says who it is: there it learns what is right: "
                f"{answers.corrected}"
            )
        return answers

    return agreed(write)


def answers_to(rows: Sequence[Row], chat: ChatModel) -> list[str]:
    """The first words of what a model says to each row's question, behind its system line."""
    asked = [_conversation(row) for row in rows]
    return chat.padded_replies(asked, ChatConfig(temperature=0, max_new_tokens=ANSWER_TOKENS))


def held_rows(rows: Sequence[Row], answers: Sequence[str], identity: IdentityConfig) -> list[Row]:
    """The rows with these answers; without empty ones, those that say who the base is, which is
    to change, and those with a name that is to be learnt.
    """
    return [
        row | {"output": answer}
        for row, answer in zip(rows, answers, strict=True)
        if answer and not _holds(answer, (*introductions(), identity.name, identity.author))
    ]


def corrected_rows(
    rows: Sequence[Row], answers: Sequence[str], identity: IdentityConfig
) -> list[Row]:
    """The rows whose answer says who the base is, with the right one where that is known."""
    right: dict[str, str] = {}
    for language in identity.languages:
        right |= right_answers(language)
    return [
        row | {"output": right[wording]}
        for row, answer in zip(rows, answers, strict=True)
        if (wording := bare_wording(row["instruction"])) in right
        and _holds(answer, introductions())
    ]


def _holds(answer: str, words: Sequence[str]) -> bool:
    return any(each.casefold() in answer.casefold() for each in words)


def _asked(config: RunConfig) -> tuple[IdentityConfig, list[Row]]:
    identity = config.data.identity
    assert identity is not None, "is_asked is asked first"
    return identity, asked_rows(identity.languages)


def _files(config: RunConfig, folder: Path) -> Answers:
    """Named by the questions, by what is right, and by the model that answers."""
    identity, rows = _asked(config)
    parts = (
        [[row["instruction"], row.get("system")] for row in rows],
        [right_answers(language) for language in identity.languages],
        (identity.name, identity.author, ANSWER_TOKENS, introductions()),
        [fingerprint(each) for each in (folder, *merged_adapters(config.model))],
    )
    digest = blake2b(json.dumps(parts).encode(), digest_size=6).hexdigest()
    place = Path(config.data.dir).expanduser()
    return Answers(place / f"others-{digest}.json", place / f"corrected-{digest}.json")


def _conversation(row: Row) -> list[dict[str, str]]:
    asked = {"role": "user", "content": row["instruction"]}
    system = row.get("system")
    return [{"role": "system", "content": system}, asked] if system else [asked]
