"""Rows of sets that no disk holds twice: read, encoded and shuffled as the run goes on.

    ExampleSets ──interleaved──▶ blocks ──encoded──▶ buffer ──drawn at random──▶ rows

The order follows from the seed alone. So a run that goes on passes over as many
rows as it has seen and meets the next one, and several processes that each take
every n-th batch train on what one would.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import count, islice
from random import Random

from torch.utils.data import IterableDataset

from tuneglm.data.collate import Item
from tuneglm.data.encode import Encoder, encode_usable
from tuneglm.data.encoded import Encoded, lengths_of
from tuneglm.data.examples import ExampleSet, RowProblem, bad_row
from tuneglm.data.files import data_files
from tuneglm.data.messages import Example
from tuneglm.data.mix import SetSummary
from tuneglm.data.pack import packs
from tuneglm.data_config import DataConfig
from tuneglm.errors import DataError

BLOCK = 256


@dataclass(frozen=True)
class Stream:
    """How sets are streamed.

    buffer    rows among which the next one is drawn; 1 keeps the files' order
    stops_at_bad_rows  else they are left out, and doubtful ones; copies are not noticed
    capacity  tokens of a pack, for packs in place of rows
    """

    sets: tuple[ExampleSet, ...]
    encoder: Encoder
    seed: int
    buffer: int
    stops_at_bad_rows: bool
    capacity: int | None = None


class StreamedRows(IterableDataset[Item]):
    """Rows, or packs of rows, without an end: pass after pass, each in an order of its own."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream

    def __iter__(self) -> Iterator[Item]:
        for number in count():
            yield from self.one_pass(number)

    def one_pass(self, number: int) -> Iterator[Item]:
        """Every row once."""
        stream = self.stream
        random = Random(f"{stream.seed} {number}")
        rows = shuffled(interleaved(stream, random), stream.buffer, random)
        if stream.capacity is None:
            return rows
        return packed(rows, max(stream.buffer, BLOCK), stream.capacity)


@dataclass(frozen=True, eq=False)
class StreamedSet:
    """What a run trains on without having read it; `sets` name the entries, without figures."""

    rows: StreamedRows
    sets: tuple[SetSummary, ...]

    @property
    def fingerprint(self) -> str:
        """The same for the same files, read and shuffled alike."""
        stream = self.rows.stream
        sets = [(each.name, str(each.file), _size(each), each.settings()) for each in stream.sets]
        shares = [(each.entry.weight, each.entry.share) for each in stream.sets]
        order = (stream.seed, stream.buffer, stream.capacity)
        text = repr((sets, shares, stream.encoder.rule, stream.encoder.name, order))
        return blake2b(text.encode(), digest_size=16).hexdigest()


def streamed(sets: Sequence[ExampleSet], encoder: Encoder, config: DataConfig) -> StreamedSet:
    """The training sets of a run, to be read as it goes on."""
    capacity = config.tokens_per_batch or config.longest_row
    stream = Stream(
        tuple(sets),
        encoder,
        seed=config.shuffle_seed,
        buffer=config.shuffle_buffer,
        stops_at_bad_rows=config.bad_rows == "stop",
        capacity=capacity if config.batching == "packed" else None,
    )
    # what is wrong with the first row, or with the shares, is told at once
    next(iter(StreamedRows(replace(stream, buffer=1, capacity=None))))
    return StreamedSet(
        StreamedRows(stream), tuple(SetSummary(each.name, 0, 0, 0, 0) for each in sets)
    )


def interleaved(stream: Stream, random: Random) -> Iterator[Encoded]:
    """Rows of all sets, each next one from a set drawn by weight, until they are read once.

    A set's weight is the size of its file where none has one of its own; then the pass
    ends with the first set that does, for the proportion holds no longer. A set with a
    share gives that share of the rows, from its beginning again whenever it ends.
    """
    shares = {i: each.entry.share for i, each in enumerate(stream.sets) if each.entry.share}
    weighted = any(each.entry.weight for each in stream.sets)
    weights = {
        i: each.entry.weight or _size(each) for i, each in enumerate(stream.sets) if i not in shares
    }
    left = 1 - sum(shares.values())
    if left <= 0 or not weights:
        raise DataError(
            "The shares of `data.train` leave nothing to other sets.",
            "a share is of all rows: below 1, beside a set without a share",
        )
    reading = [_encoded(each, stream) for each in stream.sets]
    while weights:
        total = sum(weights.values())
        chances = shares | {i: left * weight / total for i, weight in weights.items()}
        (drawn,) = random.choices(list(chances), list(chances.values()))
        row = next(reading[drawn], None)
        if row is None and drawn in shares:
            reading[drawn] = _encoded(stream.sets[drawn], stream)
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


def _encoded(examples: ExampleSet, stream: Stream) -> Iterator[Encoded]:
    rows = examples.examples()
    found = False
    while block := list(islice(rows, BLOCK)):
        good = [one for one in block if isinstance(one, Example)]
        bad = [one for one in block if isinstance(one, RowProblem)]
        encoded_block, refused = encode_usable(good, stream.encoder.render, stream.encoder.rule)
        bad = sorted([*bad, *refused], key=lambda one: (one.source.file, one.source.row))
        if bad and stream.stops_at_bad_rows:
            raise bad_row(bad[0])
        encoded = encoded_block.rows
        found = found or len(encoded) > 0
        certain = encoded.rows["doubt"] == 0
        yield from (
            replace(encoded[i], replay=examples.entry.replay)
            for i in range(len(encoded))
            if certain[i] or stream.stops_at_bad_rows
        )
    if not found:
        raise DataError(
            f"No row of `{examples.file}` can be trained on.",
            "`tuneglm data check` says why of each",
        )


def _size(examples: ExampleSet) -> int:
    return max(1, sum(file.stat().st_size for file in data_files(examples.file)))
