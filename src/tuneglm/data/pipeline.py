"""Sets of a run → encoded rows: in blocks, by several processes, each set once.

    ExampleSet ──blocks──▶ convert, render, encode ──▶ EncodedStore ──mix──▶ the rows of a run

A set of one block is encoded at once and kept in memory. A larger one goes into a
store named by all that decides its content, block by block: a run that was
stopped goes on there, and the next run opens it.
"""

import gc
import json
import multiprocessing
import os
import signal
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from hashlib import blake2b
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from tuneglm.config import DataConfig
from tuneglm.data.counts import Counts, counts_of
from tuneglm.data.doubts import doubtful_note, used_rows
from tuneglm.data.encode import Encoder, Rule, encode_examples
from tuneglm.data.encoded import EncodedRows
from tuneglm.data.encoded_store import (
    EncodedStore,
    code_digest,
    content_digest,
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
    placeholder_note,
)
from tuneglm.data.files import Notes, RawRow
from tuneglm.data.messages import Example
from tuneglm.data.mix import EncodedSet, Part, identity_note, split_and_mix
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
    total, notes = Counts(), list(sets.notes)
    encoded: list[EncodedRows] = []
    to_encode = () if config.streaming else sets.train
    every = (*to_encode, *sets.evaluation)
    for examples in every:
        rows, counts = encode_set(examples, encoder, config, tell, notes)
        _check(examples, rows, counts, encoder.rule, config)
        notes += filter(None, [placeholder_note(examples, counts.placeholders)])
        encoded.append(rows)
        total += counts
    tables, files = [rows.rows for rows in encoded], [rows.files for rows in encoded]
    doubtful = doubtful_note(tables, files, config)
    used = used_rows(tables, files, config)
    parts = [
        Part(examples.name, examples.entry, rows, chosen)
        for examples, rows, chosen in zip(every, encoded, used, strict=True)
    ]
    asked, held = parts[: len(to_encode)], parts[len(to_encode) :]
    train: EncodedSet | StreamedSet
    train, evaluation = split_and_mix(asked, held, config)
    notes += filter(
        None, [doubtful, identity_note(asked, train), _no_evaluation(config, evaluation)]
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
    rows = examples.rows(notes)
    job = _Job(examples, encoder)
    first = list(islice(rows, BLOCK + 1))
    if len(first) <= BLOCK:
        return job.block(first)
    folder = store_folder(config.cache)
    with opened(folder / _store_name(examples, encoder)) as store:
        if not store.progress.finished:
            forget_old(folder)
            _fill(store, job, chain(first, rows), config, tell)
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
        block = encode_examples(good, self.encoder.render, self.encoder.rule)
        counts = Counts(
            block.dropped,
            block.untrained,
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
            for placeholder in self.examples.placeholders
            for example in examples
            if any(placeholder in message.content for message in example.messages)
        )


def _fill(
    store: EncodedStore, job: _Job, rows: Iterator[RawRow], config: DataConfig, tell: Tell
) -> None:
    """Encode what the store lacks; what is in it stays whatever happens."""
    read, counts = store.progress.read, counts_of(store.progress.counts)
    for size, (encoded, more) in _blocks(job, islice(rows, read, None), config.workers):
        if more.problems and config.bad_rows == "stop":
            raise bad_row(more.problems[0])
        read, counts = read + size, counts + more
        store.append(encoded, read, counts.as_json())
        tell(job.examples.name, read)
    store.finish()


def _blocks(
    job: _Job, rows: Iterator[RawRow], workers: int | None
) -> Iterator[tuple[int, tuple[EncodedRows, Counts]]]:
    """(rows read, what they became) of each block, in order, from several processes."""
    count = workers or _processors()
    blocks = iter(lambda: list(islice(rows, BLOCK)), [])
    if count == 1:
        yield from ((len(block), job.block(block)) for block in blocks)
        return
    # a fork shares the tokenizer's memory; elsewhere it is sent once to each process
    fork = "fork" if "fork" in multiprocessing.get_all_start_methods() else None
    context = multiprocessing.get_context(fork)
    with ProcessPoolExecutor(count, context, _start, (job,)) as pool:
        waiting: deque[tuple[int, Future[Any]]] = deque()
        try:
            for block in blocks:
                waiting.append((len(block), pool.submit(_encode, block)))
                if len(waiting) > count + 1:
                    size, future = waiting.popleft()
                    yield size, future.result()
            for size, future in waiting:
                yield size, future.result()
        except BrokenProcessPool:
            raise DataError(
                f"The system ended a process that encoded `{job.examples.name}`: it may be out "
                "of memory.",
                "use fewer processes (data.workers=1); the same command then goes on",
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


_job: _Job | None = None


def _start(job: _Job) -> None:
    """Of a process that encodes: what to do; Ctrl-C is the parent's to see."""
    global _job
    _job = job
    # rows make no cycles: looking for some took up to half of the time
    gc.disable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _encode(block: list[RawRow]) -> tuple[EncodedRows, Counts]:
    assert _job is not None
    return _job.block(block)


def _processors() -> int:
    """Those that this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


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
        raise no_rows(examples.file, counts.problems)
    if unseen:
        row = next((row.value for row in examples.rows() if isinstance(row.value, dict)), {})
        raise no_column(examples.file, unseen[0], list(row))


def _nothing_left(examples: ExampleSet, counts: Counts, rule: Rule) -> DataError:
    if counts.dropped:
        return DataError(
            f"No row of `{examples.name}` is left to train on: {counts.dropped} do not fit into "
            f"data.cutoff=`{rule.cutoff}`.",
            "raise data.cutoff",
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
