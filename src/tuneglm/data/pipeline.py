"""Sets of a run → encoded rows: in blocks, by several processes, each set once.

    ExampleSet ──blocks──▶ convert, render, encode ──▶ EncodedStore ──mix──▶ the rows of a run

A set of one block is encoded at once and kept in memory. A larger one goes into a
store named by all that decides its content, block by block: a run that was
stopped goes on there, and the next run opens it.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

from tuneglm.data.counts import Counts, counts_of
from tuneglm.data.cutoff import Rule
from tuneglm.data.doubts import doubtful_note, used_rows
from tuneglm.data.encode import Encoder, encode_usable
from tuneglm.data.encoded import EncodedRows
from tuneglm.data.encoded_store import (
    EncodedStore,
    code_digest,
    content_digest,
    finished,
    forget_old,
    opened,
    store_folder,
)
from tuneglm.data.examples import (
    ExampleSet,
    ExampleSets,
    RowProblem,
    bad_row,
    no_column,
    no_rows,
)
from tuneglm.data.files import Notes, RawRow
from tuneglm.data.messages import Example
from tuneglm.data.mix import EncodedSet, Part, identity_note, split_and_mix, without_evaluated
from tuneglm.data.placeholders import placeholder_note, placeholders_in
from tuneglm.data.workers import made_of_blocks, processors
from tuneglm.data_config import DataConfig
from tuneglm.errors import DataError

if TYPE_CHECKING:
    from tuneglm.data.stream import StreamedSet

BLOCK = 4096

Tell = Callable[[str, int], None]  # name of a set, rows read so far


@dataclass(frozen=True)
class EncodedData:
    """All data of a run.

    dropped    rows that do not fit into the cutoff
    untrained  rows without anything to train
    problems   the first of the `skipped` rows that cannot be used
    notes      sentences for the person at the terminal
    readings   how files are read of which nothing else says it, one line each
    """

    train: "EncodedSet | StreamedSet"
    evaluation: EncodedSet | None
    dropped: int
    untrained: int
    problems: tuple[RowProblem, ...]
    skipped: int
    notes: tuple[str, ...]
    readings: tuple[str, ...] = ()


def encode_data(
    sets: ExampleSets, encoder: Encoder, config: DataConfig, tell: Tell = lambda _, __: None
) -> EncodedData:
    """Everything that a run trains on and evaluates with.

    `tell` hears from time to time how far a large set has come. Raises DataError for
    the first row that cannot be used (unless `bad_rows` is `skip`) and where no row
    is left.
    """
    if not sets.train:
        raise DataError(
            "There is nothing to train on: `data.train` is empty.",
            "give a file: data.train=my.json",
        )
    total, notes = Counts(), list(sets.notes)
    encoded: list[EncodedRows] = []
    to_encode = () if config.streaming else sets.train
    every = (*to_encode, *sets.evaluation)
    for examples in every:
        rows, counts = encode_set(examples, encoder, config, tell, notes)
        _check(examples, rows, counts, encoder.rule, config)
        notes += filter(None, [placeholder_note(examples, counts.placeholders, len(rows))])
        encoded.append(rows)
        total += counts
    # of a row on both sides the copy to train on is the one too many
    encoded = encoded[len(to_encode) :] + encoded[: len(to_encode)]
    every = (*sets.evaluation, *to_encode)
    tables, files = [rows.rows for rows in encoded], [rows.files for rows in encoded]
    doubtful = doubtful_note(tables, files, config)
    used = used_rows(tables, files, config)
    parts = [
        Part(examples.name, examples.entry, rows, chosen)
        for examples, rows, chosen in zip(every, encoded, used, strict=True)
    ]
    held, asked = parts[: len(sets.evaluation)], parts[len(sets.evaluation) :]
    train: EncodedSet | StreamedSet
    asked, shared = without_evaluated(asked, held)
    train, evaluation = split_and_mix(asked, held, config)
    if sets.evaluation and not len(evaluation.rows):
        raise DataError(
            "No row of data.evaluation is left to evaluate with.",
            "`tuneglm data check` says what there is against each",
        )
    notes += filter(
        None, [doubtful, shared, identity_note(asked, train), _no_evaluation(config, evaluation)]
    )
    if config.streaming:
        # looking at data waits for no torch
        from tuneglm.data.stream import streamed

        train = streamed(sets.train, encoder, config)
    return EncodedData(
        train,
        evaluation if len(evaluation.rows) else None,
        total.dropped,
        total.untrained,
        total.problems,
        total.skipped,
        tuple(notes),
        sets.readings,
    )


def encode_set(
    examples: ExampleSet,
    encoder: Encoder,
    config: DataConfig,
    tell: Tell = lambda _, __: None,
    notes: Notes | None = None,
) -> tuple[EncodedRows, Counts]:
    """One set's rows, from its store where they are there, and what became of the others."""
    said: Notes = []
    job = _Job(examples, encoder)
    store = _store_of(examples, encoder, config)
    held = None if store is None else finished(store)
    if held is not None:
        # what reading to the end had found out
        said = held.progress.notes
        encoded, counts = held.rows(), counts_of(held.progress.counts)
    else:
        rows = examples.rows(said)
        first = list(islice(rows, BLOCK + 1))
        if store is None or len(first) <= BLOCK:
            encoded, counts = job.block([*first, *rows])
        else:
            encoded, counts = _stored(store, job, chain(first, rows), said, config, tell)
    if notes is not None:
        notes += said
    return encoded, counts


def _store_of(examples: ExampleSet, encoder: Encoder, config: DataConfig) -> Path | None:
    """Where a set's rows lie, or will; what comes through a pipe cannot be known again."""
    if examples.file.is_fifo():
        return None
    return store_folder(config.cache) / _store_name(examples, encoder)


def _stored(
    folder: Path,
    job: "_Job",
    rows: Iterator[RawRow],
    said: Notes,
    config: DataConfig,
    tell: Tell,
) -> tuple[EncodedRows, Counts]:
    """What a store holds when all rows are in it."""
    with opened(folder) as store:
        if not store.progress.finished:
            forget_old(folder.parent)
            _fill(store, job, rows, said, config, tell)
        return store.rows(), counts_of(store.progress.counts)


@dataclass(frozen=True)
class _Job:
    """What a process needs to encode a block."""

    examples: ExampleSet
    encoder: Encoder

    def block(self, rows: Sequence[RawRow]) -> tuple[EncodedRows, Counts]:
        """Rows as the file gave them → encoded ones."""
        converted = [self.examples.convert(row) for row in rows]
        good = [one for one in converted if isinstance(one, Example)]
        bad = [one for one in converted if isinstance(one, RowProblem)]
        block, refused = encode_usable(good, self.encoder.render, self.encoder.rule)
        bad = sorted([*bad, *refused], key=lambda one: (one.source.file, one.source.row))
        counts = Counts(
            block.dropped,
            block.untrained,
            block.left_out,
            tuple(bad),
            len(bad),
            self._seen(rows),
            self._placeholders(good),
        )
        return block.rows, counts

    def _seen(self, rows: Sequence[RawRow]) -> frozenset[str]:
        """The columns that a run names and these rows have."""
        wanted = self.examples.named_columns
        values = (row.value for row in rows if wanted and isinstance(row.value, dict))
        return frozenset(wanted.intersection(chain.from_iterable(values)))

    def _placeholders(self, examples: Sequence[Example]) -> Counter[str]:
        return Counter(
            placeholder
            for example in examples
            for placeholder in placeholders_in(self.examples, example)
        )


def _fill(
    store: EncodedStore,
    job: _Job,
    rows: Iterator[RawRow],
    said: Notes,
    config: DataConfig,
    tell: Tell,
) -> None:
    """Encode what the store lacks; what is in it stays whatever happens."""
    read, counts = store.progress.read, counts_of(store.progress.counts)
    left = islice(rows, read, None)
    blocks = iter(lambda: list(islice(left, BLOCK)), [])
    count = config.workers or processors()
    for size, (encoded, more) in made_of_blocks(job.block, blocks, count, job.examples.name):
        if more.problems and config.bad_rows == "stop":
            raise bad_row(more.problems[0])
        read, counts = read + size, counts + more
        store.append(encoded, read, counts.as_json())
        tell(job.examples.name, read)
    store.finish(said)


def _store_name(examples: ExampleSet, encoder: Encoder) -> str:
    """A name that changes with the file's content, the settings, the tokenizer and our code."""
    digest = blake2b(digest_size=16)
    for part in (
        content_digest(examples.file),
        json.dumps([examples.name, str(examples.file), examples.settings()], sort_keys=True),
        repr(encoder.rule),
        encoder.name,
        code_digest(),
    ):
        digest.update(part.encode() + b"\0")
    return digest.hexdigest()


def _check(
    examples: ExampleSet, rows: EncodedRows, counts: Counts, rule: Rule, config: DataConfig
) -> None:
    """Raise a DataError for what makes a set unusable."""
    if counts.problems and config.bad_rows == "stop":
        raise bad_row(counts.problems[0])
    unseen = sorted(examples.named_columns - counts.seen)
    if not len(rows):
        if counts.dropped or counts.untrained:
            raise _nothing_left(examples, counts, rule)
        raise no_rows(examples.file, counts.problems, examples.entry.kinds)
    if unseen:
        row = next((row.value for row in examples.rows() if isinstance(row.value, dict)), {})
        raise no_column(examples.file, unseen[0], list(row))


def _nothing_left(examples: ExampleSet, counts: Counts, rule: Rule) -> DataError:
    if counts.dropped:
        return DataError(
            f"No row of `{examples.name}` is left to train on: {counts.dropped} are too long: "
            f"{rule.limit}.",
            rule.remedy,
        )
    return DataError(
        f"No row of `{examples.name}` is left to train on: {counts.untrained} hold no trained "
        "answer.",
        "each row needs an answer that is trained",
    )


def _no_evaluation(config: DataConfig, evaluation: EncodedSet) -> str | None:
    if not config.evaluation_share or len(evaluation.rows):
        return None
    return (
        f"data.evaluation_share={config.evaluation_share} of the rows is not one row: nothing is "
        "kept for evaluation."
    )
