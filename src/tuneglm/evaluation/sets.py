"""The sets that are evaluated on: encoded as training encodes them, by the run's own settings."""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

from pydantic import ValidationError

from tuneglm.base_answers import is_asked, known_answers
from tuneglm.config import RunConfig
from tuneglm.data.counts import Counts
from tuneglm.data.encode import Encoder
from tuneglm.data.encoded import UNTRAINED, Encoded
from tuneglm.data.example_set import ExampleSet
from tuneglm.data.examples import load_examples
from tuneglm.data.identity_files import Answers
from tuneglm.data.pipeline import encode_data, encode_set
from tuneglm.data_config import DataConfig
from tuneglm.errors import ConfigError, DataError
from tuneglm.evaluation.findings import Note
from tuneglm.evaluation.wanted import Wanted
from tuneglm.models.loading import model_folder

# rows that a page shows, and so many characters of their prompts
SHOWN, PROMPT_END = 5, 300


@dataclass(frozen=True, eq=False)
class EvaluatedSet:
    """Rows that a model is evaluated on.

    rows   those that are taken; `available` says of how many
    shown  the ends of the first rows' prompts, as text
    notes  on rows that are left out
    """

    name: str
    rows: Sequence[Encoded]
    available: int
    shown: Sequence[str] = ()
    notes: Sequence[Note] = ()

    @property
    def digest(self) -> str:
        """The same for the same tokens, trained alike, in the same order."""
        digest = blake2b(digest_size=8)
        for row in self.rows:
            digest.update(json.dumps([row.input_ids, row.labels]).encode())
        return digest.hexdigest()


@dataclass(frozen=True)
class Asked:
    """A row as it is asked: the prompt that training showed, and the answer that it trained.

    label  the answer's tokens, without those that end it
    """

    prompt: list[int]
    label: list[int]


def asked_of(row: Encoded, end_tokens: Sequence[int]) -> Asked:
    """What stands before the last answer of a row, and that answer."""
    first = len(row.labels)
    while first and row.labels[first - 1] == UNTRAINED:
        first -= 1
    last = first
    while first and row.labels[first - 1] != UNTRAINED:
        first -= 1
    label = row.input_ids[first:last]
    while label and label[-1] in end_tokens:
        label.pop()
    return Asked(row.input_ids[:first], label)


def data_config(run: RunConfig | None, wanted: Wanted) -> DataConfig:
    """How rows are read and encoded: as the run did it."""
    config = DataConfig() if run is None else run.data
    return config if wanted.dir is None else config.model_copy(update={"dir": wanted.dir})


def named_sets(names: Sequence[str], config: DataConfig, encoder: Encoder) -> list[EvaluatedSet]:
    """Sets by name or file; raises a UserError for what cannot be found or used."""
    try:
        asked = DataConfig.model_validate({"evaluation": list(names)}).evaluation
    except ValidationError:
        raise ConfigError(f"`--data {' '.join(names)}` names no sets.") from None
    return _encoded(config.model_copy(update={"evaluation": asked}), encoder)


def kept_sets(run: RunConfig, encoder: Encoder) -> list[EvaluatedSet]:
    """The rows that a run kept for evaluation, or named for it; none where it did neither."""
    config = run.data
    if not config.evaluation_share and not config.evaluation_rows:
        return _encoded(config, encoder) if config.evaluation else []
    data = encode_data(load_examples(config, _answers(run)), encoder, config)
    if data.evaluation is None:
        return []
    rows = data.evaluation.rows
    return [EvaluatedSet("kept for evaluation", rows, len(rows))]


def _answers(run: RunConfig) -> Answers | None:
    """What the run's base said of other things, where that was among its rows."""
    if not is_asked(run):
        return None
    answers = known_answers(run, model_folder(run.model))
    if answers is None:
        raise DataError(
            "What the run's base said of other things is no longer in `data.dir`, and so nobody "
            "can say which rows were kept.",
            "name rows: --data FILE",
        )
    return answers


def some(one: EvaluatedSet, count: int, seed: int, tokenizer: Any) -> EvaluatedSet:
    """At most so many of a set's rows, in its order, and the first ones as text."""
    places: Sequence[int] = range(len(one.rows))
    if len(places) > count:
        places = sorted(random.Random(seed).sample(places, count))
    rows = [one.rows[place] for place in places]
    prompts = [asked_of(row, ()).prompt for row in rows[:SHOWN]]
    texts = [str(tokenizer.decode(ids, skip_special_tokens=True)).strip() for ids in prompts]
    shown = [text[-PROMPT_END:] for text in texts]
    return EvaluatedSet(one.name, rows, one.available, shown, one.notes)


def _encoded(config: DataConfig, encoder: Encoder) -> list[EvaluatedSet]:
    """The sets of `config.evaluation`."""
    alone: dict[str, Any] = {"train": (), "identity": None, "streaming": False}
    sets = load_examples(config.model_copy(update=alone)).evaluation
    return list(_distinct([_one(each, encoder, config) for each in sets]))


def _one(examples: ExampleSet, encoder: Encoder, config: DataConfig) -> EvaluatedSet:
    rows, counts = encode_set(examples, encoder, config)
    if counts.problems and config.bad_rows == "stop":
        problem = counts.problems[0]
        raise DataError(str(problem), f"{problem.remedy}, or remove the row")
    if not len(rows):
        raise DataError(
            f"No row of `{examples.name}` can be evaluated on.",
            "`tuneglm data check` says what there is against each",
        )
    return EvaluatedSet(examples.name, rows, len(rows), notes=list(_left_out(counts)))


def _left_out(counts: Counts) -> Iterator[Note]:
    for count, template in (
        (counts.dropped, "left out, as they do not fit into data.cutoff: {rows}"),
        (counts.untrained, "left out, as they hold no answer that training would train: {rows}"),
        (counts.skipped, "left out, as they cannot be used (`tuneglm data check`): {rows}"),
    ):
        if count:
            yield Note(template, {"rows": f"{count:,}"})


def _distinct(sets: Sequence[EvaluatedSet]) -> Iterator[EvaluatedSet]:
    """Two files of one name have a number behind it."""
    names: list[str] = []
    for each in sets:
        names.append(each.name)
        count = names.count(each.name)
        name = each.name if count == 1 else f"{each.name} ({count})"
        yield replace(each, name=name)
