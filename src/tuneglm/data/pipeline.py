"""Sets of a run → encoded rows: in blocks, by several processes, each set once.

    ExampleSet ──blocks──▶ convert, render, encode ──▶ EncodedStore ──mix──▶ the rows of a run

A set of one block is encoded at once and kept in memory. A larger one goes into a
store named by all that decides its content, block by block: a run that was
stopped goes on there, and the next run opens it.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from hashlib import blake2b
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tuneglm.data.blocks import SetEncoder, nothing_usable, refuse_unseen, stop_at_bad_rows
from tuneglm.data.counts import Counts, counts_of
from tuneglm.data.doubts import doubtful_note, used_rows
from tuneglm.data.encode import Encoder
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
from tuneglm.data.example_set import ExampleSet, RowProblem
from tuneglm.data.examples import ExampleSets
from tuneglm.data.files import Notes, RawRow
from tuneglm.data.kinds import refuse_unseen_kinds
from tuneglm.data.mix import (
    EncodedSet,
    Part,
    identity_note,
    split_and_mix,
    texts_of,
    without_evaluated,
)
from tuneglm.data.placeholders import placeholder_note
from tuneglm.data.unused import unused_note
from tuneglm.data.workers import made_of_blocks
from tuneglm.data_config import DataConfig
from tuneglm.errors import DataError
from tuneglm.processors import usable

if TYPE_CHECKING:
    from tuneglm.data.stream import StreamedSet

BLOCK = 4096
MANY_BLOCKS = 4  # from here on it pays to prepare an encoder

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
    notes = list(sets.notes)
    asked, counts = _encoded(() if config.streaming else sets.train, encoder, config, tell, notes)
    held, more = _encoded(sets.evaluation, encoder, config, tell, notes)
    asked, held = _judged(asked, held, config, notes)
    mixed, evaluation = split_and_mix(asked, held, config)
    if sets.evaluation and not len(evaluation.rows):
        raise DataError(
            "No row of data.evaluation is left to evaluate with.",
            "`tuneglm data check` says what there is against each",
        )
    notes += filter(None, [identity_note(asked, mixed), _no_evaluation(config, evaluation)])
    train: EncodedSet | StreamedSet = mixed
    if config.streaming:
        # looking at data waits for no torch
        from tuneglm.data.stream import streamed

        train = streamed(sets.train, encoder, config, texts_of(held))
        notes += train.notes()
    counts += more
    return EncodedData(
        train,
        evaluation if len(evaluation.rows) else None,
        counts.dropped,
        counts.untrained,
        counts.problems,
        counts.skipped,
        tuple(notes),
        sets.readings,
    )


def _encoded(
    sets: Sequence[ExampleSet], encoder: Encoder, config: DataConfig, tell: Tell, notes: Notes
) -> tuple[list[Part], Counts]:
    """All sets of one side; raises a DataError for one that cannot be used."""
    parts, total = [], Counts()
    for examples in sets:
        rows, counts = encode_set(examples, encoder, config, tell, notes)
        stop_at_bad_rows(counts, config.bad_rows)
        if not len(rows):
            raise nothing_usable(examples, counts, encoder.rule)
        refuse_unseen(examples, counts)
        refuse_unseen_kinds(examples, rows.kinds)
        unfilled = placeholder_note(examples, counts.placeholders, len(rows))
        notes += filter(None, [unfilled, unused_note(examples, counts.unused)])
        parts.append(Part(examples, rows, np.ones(len(rows), bool)))
        total += counts
    return parts, total


def _judged(
    asked: list[Part], held: list[Part], config: DataConfig, notes: Notes
) -> tuple[list[Part], list[Part]]:
    """Both sides without the rows that are not used: doubtful ones, those on the other side."""
    # of a row on both sides the copy to train on is the one too many
    every = [*held, *asked]
    tables, files = [part.rows.rows for part in every], [part.rows.files for part in every]
    doubtful = doubtful_note(tables, files, config)
    used = used_rows(tables, files, config)
    every = [replace(part, used=chosen) for part, chosen in zip(every, used, strict=True)]
    held, asked = every[: len(held)], every[len(held) :]
    asked, shared = without_evaluated(asked, held)
    notes += filter(None, [doubtful, shared])
    return asked, held


def encode_set(
    examples: ExampleSet,
    encoder: Encoder,
    config: DataConfig,
    tell: Tell = lambda _, __: None,
    notes: Notes | None = None,
) -> tuple[EncodedRows, Counts]:
    """One set's rows, from its store where they are there, and what became of the others."""
    said: Notes = []
    job = SetEncoder(examples, encoder)
    store = _store_of(examples, encoder, config)
    held = finished(store)
    if held is not None:
        # what reading to the end had found out
        said = held.progress.notes
        encoded, counts = held.rows(), counts_of(held.progress.counts)
    else:
        rows = examples.rows(said)
        first = list(islice(rows, BLOCK + 1))
        if len(first) <= BLOCK:
            encoded, counts = job.block(first)
        else:
            encoded, counts = _stored(store, job, chain(first, rows), said, config, tell)
    if notes is not None:
        notes += said
    return encoded, counts


def _store_of(examples: ExampleSet, encoder: Encoder, config: DataConfig) -> Path:
    """Where a set's rows lie, or will."""
    return store_folder(config.cache) / _store_name(examples, encoder)


def _stored(
    folder: Path,
    job: SetEncoder,
    rows: Iterator[RawRow],
    said: Notes,
    config: DataConfig,
    tell: Tell,
) -> tuple[EncodedRows, Counts]:
    """What a store holds when all rows are in it."""
    name = job.examples.name
    try:
        with opened(folder, partial(tell, name)) as store:
            if not store.progress.finished:
                forget_old(folder.parent)
                _fill(store, job, rows, said, config, tell)
            return store.rows(), counts_of(store.progress.counts)
    except KeyboardInterrupt:
        read = EncodedStore(folder).progress.read
        raise KeyboardInterrupt(
            f"The first {read:,} rows of `{name}` are encoded and kept in `{folder.parent}`: the "
            "same command goes on from there."
            if read
            else ""
        ) from None


def _fill(
    store: EncodedStore,
    job: SetEncoder,
    rows: Iterator[RawRow],
    said: Notes,
    config: DataConfig,
    tell: Tell,
) -> None:
    """Encode what the store lacks; what is in it stays whatever happens."""
    read, counts = store.progress.read, counts_of(store.progress.counts)
    left = islice(rows, read, None)
    blocks = iter(lambda: list(islice(left, BLOCK)), [])
    first = list(islice(blocks, MANY_BLOCKS))
    if len(first) == MANY_BLOCKS:
        job.encoder.prepare()
    count = config.workers or usable()
    for size, (encoded, more) in made_of_blocks(
        job.block, chain(first, blocks), count, job.examples.name
    ):
        stop_at_bad_rows(more, config.bad_rows)
        read, counts = read + size, counts + more
        store.append(encoded, read, counts.as_json())
        tell(job.examples.name, read)
    store.finish(said)


def _store_name(examples: ExampleSet, encoder: Encoder) -> str:
    """A name that changes with the file's content, the settings, the tokenizer and our code."""
    digest = blake2b(digest_size=16)
    for part in (
        content_digest(examples.content),
        json.dumps([examples.name, str(examples.file), examples.settings()], sort_keys=True),
        repr(encoder.rule),
        encoder.name,
        code_digest(),
    ):
        digest.update(part.encode() + b"\0")
    return digest.hexdigest()


def _no_evaluation(config: DataConfig, evaluation: EncodedSet) -> str | None:
    if not config.evaluation_share or len(evaluation.rows):
        return None
    return (
        f"data.evaluation_share={config.evaluation_share} of the rows is not one row: nothing is "
        "kept for evaluation."
    )
