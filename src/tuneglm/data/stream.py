"""Rows of sets that no disk holds twice: read, encoded and shuffled as the run goes on.

    ExampleSets ──interleaved──▶ blocks ──encoded──▶ buffer ──drawn at random──▶ rows

The order follows from the seed alone. So a run that goes on passes over as many
rows as it has seen and meets the next one, and several processes that each take
every n-th batch train on what one would.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import blake2b
from itertools import count, islice
from random import Random
from typing import Literal

import numpy as np
from torch.utils.data import IterableDataset

from tuneglm.data.blocks import SetEncoder, refuse_unseen, stop_at_bad_rows
from tuneglm.data.collate import Item
from tuneglm.data.encode import Encoder
from tuneglm.data.encoded import Array, Encoded, lengths_of
from tuneglm.data.example_set import ExampleSet
from tuneglm.data.expected import expected_rows
from tuneglm.data.files import data_files
from tuneglm.data.fingerprint import digest_of_file
from tuneglm.data.mix import IDENTITY_SHARE, is_identity, too_few
from tuneglm.data.pack import packs
from tuneglm.data.tally import ExpectedSet, Tally, tally_notes
from tuneglm.data_config import DataConfig
from tuneglm.errors import DataError

BLOCK = 1024

Chances = dict[int, float]  # number of a set → how likely the next row is from it


@dataclass(frozen=True, eq=False)
class Stream:
    """How sets are streamed.

    buffer     rows among which the next one is drawn; 1 keeps the files' order
    bad_rows   `skip` leaves doubtful rows out too, but no copies: they are not looked for
    capacity   tokens of a pack, for packs in place of rows
    evaluated  (rows,) digests of texts that are evaluated with, and so not trained on
    """

    sets: tuple[ExampleSet, ...]
    encoder: Encoder
    seed: int
    buffer: int
    bad_rows: Literal["stop", "skip"]
    capacity: int | None = None
    evaluated: Array = field(default_factory=lambda: np.zeros(0, np.uint64))


class StreamedRows(IterableDataset[Item]):
    """Rows, or packs of rows, without an end: pass after pass, each in an order of its own."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.tallies = tuple(Tally() for _ in stream.sets)

    def __iter__(self) -> Iterator[Item]:
        for number in count():
            yield from self.one_pass(number)

    def one_pass(self, number: int) -> Iterator[Item]:
        """Every row once."""
        stream = self.stream
        random = Random(f"{stream.seed} {number}")
        rows = shuffled(interleaved(self, random), stream.buffer, random)
        if stream.capacity is None:
            return rows
        return packed(rows, max(stream.buffer, BLOCK), stream.capacity)

    @cached_property
    def proportions(self) -> tuple[Chances, Chances]:
        """The shares of the sets that have one, and the weights of the others.

        A set without a weight of its own has that of the rows it is expected to give: the
        first of each are read for it.
        """
        sets, tallies = self.stream.sets, self.tallies
        shares = {i: each.entry.share for i, each in enumerate(sets) if each.entry.share}
        if sum(shares.values()) >= 1 or len(shares) == len(sets):
            raise DataError(
                "The shares of `data.train` leave nothing to other sets.",
                "a share is of all rows: below 1, beside a set without a share",
            )
        for examples, tally in zip(sets, tallies, strict=True):
            next(_encoded(examples, self.stream, tally))
        weights = {
            i: each.entry.weight or tallies[i].expected
            for i, each in enumerate(sets)
            if i not in shares
        }
        return shares, weights


@dataclass(frozen=True, eq=False)
class StreamedSet:
    """What a run trains on without having read it, and what its first rows tell of each entry."""

    rows: StreamedRows
    sets: tuple[ExpectedSet, ...]

    @property
    def fingerprint(self) -> str:
        """The same for the same files, read and shuffled alike."""
        stream = self.rows.stream
        sets = [
            (
                each.name,
                [digest_of_file(file) for file in data_files(each.content)],
                each.settings(),
            )
            for each in stream.sets
        ]
        shares = [(each.entry.weight, each.entry.share) for each in stream.sets]
        order = (stream.seed, stream.buffer, stream.capacity, stream.bad_rows)
        text = repr((sets, shares, stream.encoder.rule, stream.encoder.name, order))
        digest = blake2b(text.encode(), digest_size=16)
        digest.update(np.unique(stream.evaluated).data)
        return digest.hexdigest()

    def notes(self) -> list[str]:
        """What there is to tell of the rows that were read so far."""
        sets, tallies = self.rows.stream.sets, self.rows.tallies
        notes = list(tally_notes(sets, tallies, skips=self.rows.stream.bad_rows == "skip"))
        own = [i for i, each in enumerate(sets) if is_identity(each, tallies[i].kinds)]
        share = sum(self.sets[i].share for i in own)
        if own and share < IDENTITY_SHARE:
            notes.append(too_few(sets[own[0]], share))
        return notes


def streamed(
    sets: Sequence[ExampleSet], encoder: Encoder, config: DataConfig, evaluated: Array
) -> StreamedSet:
    """The training sets of a run, to be read as it goes on.

    The first rows of each are looked at: what is wrong with them, or with the shares, is
    told at once. `evaluated` is (rows,) of digests, see `Stream`.
    """
    capacity = config.tokens_per_batch or config.longest_row
    stream = Stream(
        tuple(sets),
        encoder,
        seed=config.shuffle_seed,
        buffer=config.shuffle_buffer,
        bad_rows=config.bad_rows,
        capacity=capacity if config.batching == "packed" else None,
        evaluated=evaluated,
    )
    rows = StreamedRows(stream)
    chances = _chances(*rows.proportions)
    for examples, tally in zip(sets, rows.tallies, strict=True):
        refuse_unseen(examples, tally.counts, f" among the first {tally.read:,}")
    counted = all(each.entry.weight or each.entry.share for each in sets)
    about = len(sets) > 1 and not counted and any(t.whole > t.read for t in rows.tallies)
    expected = [
        ExpectedSet(
            examples.name,
            chances[i],
            about and not examples.entry.share,
            tally.tokens / tally.encoded,
            tally.trained_tokens / tally.encoded,
        )
        for i, (examples, tally) in enumerate(zip(sets, rows.tallies, strict=True))
    ]
    return StreamedSet(rows, tuple(expected))


def _chances(shares: Chances, weights: Chances) -> Chances:
    left, total = 1 - sum(shares.values()), sum(weights.values())
    return shares | {i: left * weight / total for i, weight in weights.items()}


def interleaved(rows: StreamedRows, random: Random) -> Iterator[Encoded]:
    """Rows of all sets, each next one from a set drawn by weight, until they are read once.

    With weights of their own the pass ends with the first set that does, for the
    proportion holds no longer. A set with a share gives that share of the rows, from
    its beginning again whenever it ends.
    """
    stream, tallies = rows.stream, rows.tallies
    shares, weights = rows.proportions[0], dict(rows.proportions[1])
    weighted = any(each.entry.weight for each in stream.sets)
    reading = [
        _encoded(each, stream, tally) for each, tally in zip(stream.sets, tallies, strict=True)
    ]
    while weights:
        chances = _chances(shares, weights)
        (drawn,) = random.choices(list(chances), list(chances.values()))
        row = next(reading[drawn], None)
        if row is None and drawn in shares:
            reading[drawn] = _encoded(stream.sets[drawn], stream, tallies[drawn])
            row = next(reading[drawn])
        if row is not None:
            yield row
        elif weighted:
            return
        else:
            del weights[drawn]


def shuffled(rows: Iterator[Encoded], size: int, random: Random) -> Iterator[Encoded]:
    """Each next row drawn from a buffer of `size`, and one more read in its place."""
    buffer = list(islice(rows, size))
    for row in rows:
        place = random.randrange(size)
        buffer[place], row = row, buffer[place]
        yield row
    random.shuffle(buffer)
    yield from buffer


def packed(rows: Iterable[Encoded], window: int, capacity: int) -> Iterator[tuple[Encoded, ...]]:
    """Packs of each window of rows."""
    reading = iter(rows)
    while held := list(islice(reading, window)):
        for pack in packs(lengths_of(held), capacity):
            yield tuple(held[row] for row in pack)


def _encoded(examples: ExampleSet, stream: Stream, tally: Tally) -> Iterator[Encoded]:
    """A set's rows that are trained on; what is read for the first time is counted."""
    encode = SetEncoder(examples, stream.encoder).block
    rows, read, given = examples.rows(tally.notes), 0, 0
    while block := list(islice(rows, BLOCK)):
        encoded, counts = encode(block)
        stop_at_bad_rows(counts, stream.bad_rows)
        evaluated = np.isin(encoded.texts, stream.evaluated)
        used = ~evaluated & ((encoded.rows["doubt"] == 0) | (stream.bad_rows == "stop"))
        tally.whole = tally.whole or expected_rows(examples, block, BLOCK)
        if read == tally.read:
            tally.add(len(block), encoded, counts)
            tally.use(used, encoded.cut, evaluated)
        read, given = read + len(block), given + int(used.sum())
        replay = examples.entry.replay
        yield from (replace(encoded[int(i)], replay=replay) for i in np.flatnonzero(used))
    if not given:
        raise tally.nothing_given(examples, stream.encoder.rule)
