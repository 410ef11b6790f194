"""What becomes of streamed rows: counted as they come, told at the start and the end of a run."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from tuneglm.data.blocks import nothing_usable
from tuneglm.data.counts import Counts
from tuneglm.data.cutoff import Rule
from tuneglm.data.doubts import count_doubts, doubtful_sentence
from tuneglm.data.encoded import Array, EncodedRows
from tuneglm.data.example_set import ExampleSet
from tuneglm.data.files import Notes
from tuneglm.data.placeholders import placeholder_note
from tuneglm.data.unused import unused_note
from tuneglm.errors import DataError


@dataclass(frozen=True)
class ExpectedSet:
    """What one entry is to give, as far as its first rows tell.

    share   of the rows, at first: where no set has a weight, until one of them ends
    about   whether that goes by an estimate of how many rows there are
    tokens, trained_tokens  of a row, on average
    """

    name: str
    share: float
    about: bool
    tokens: float
    trained_tokens: float


@dataclass
class Tally:
    """What became of the rows of one set, each counted when it is first read.

    whole      rows of the source in all, as far as its first ones tell; see expected.py
    read       rows of the source so far
    encoded    rows that came of them
    given      those that are trained on, and how many of these were cut
    evaluated  those that are not, for they are evaluated with
    doubtful   rows of the source, and how many of each doubt
    tokens, trained_tokens  of the rows that were encoded
    kinds      of the same rows
    notes      what reading found out
    """

    whole: float = 0
    read: int = 0
    encoded: int = 0
    given: int = 0
    cut: int = 0
    evaluated: int = 0
    doubtful: int = 0
    doubts: Counter[str] = field(default_factory=Counter)
    tokens: int = 0
    trained_tokens: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    counts: Counts = field(default_factory=Counts)
    notes: Notes = field(default_factory=list)

    def add(self, read: int, rows: EncodedRows, counts: Counts) -> None:
        """One more block: so many rows of the source, and what they became."""
        self.read += read
        self.counts += counts
        self.encoded += len(rows)
        self.tokens += int(rows.lengths.sum())
        self.trained_tokens += int(rows.trained_lengths.sum())
        numbers = np.bincount(rows.rows["kind"], minlength=len(rows.kinds)).tolist()
        self.kinds.update(dict(zip(rows.kinds, numbers, strict=True)))
        count, kinds = count_doubts([rows.rows["doubt"]], [rows.rows], [rows.files])
        self.doubtful += count
        self.doubts.update(kinds)

    def use(self, used: Array, cut: Array, evaluated: Array) -> None:
        """Of the block, (rows,) of bool: trained on; cut; left out, for evaluated with."""
        self.given += int(used.sum())
        self.cut += int((used & cut).sum())
        self.evaluated += int(evaluated.sum())

    @property
    def expected(self) -> float:
        """Rows that a pass gives, as far as those tell that were read so far."""
        return self.whole * self.given / max(1, self.read)

    def nothing_given(self, examples: ExampleSet, rule: Rule) -> DataError:
        """A set that was read to its end and gave no row to train on."""
        if not self.encoded:
            return nothing_usable(examples, self.counts, rule)
        return DataError(
            f"No row of `{examples.name}` is left to train on: {self.evaluated:,} are in "
            f"data.evaluation too, {self.doubtful:,} are doubtful.",
            "train on other rows; data.bad_rows=stop uses doubtful ones",
        )


def tally_notes(
    sets: Sequence[ExampleSet], tallies: Sequence[Tally], *, skips: bool
) -> Iterator[str]:
    """What there is to tell of the rows that were read so far."""
    for examples, tally in zip(sets, tallies, strict=True):
        yield from dict.fromkeys(tally.notes)  # each pass finds the same
        unfilled = placeholder_note(examples, tally.counts.placeholders, tally.encoded)
        yield from filter(None, [unfilled, unused_note(examples, tally.counts.unused)])
    total = _total(tallies)
    of = f" of the {total.read:,} read so far"
    counts = total.counts
    if total.doubtful:
        yield doubtful_sentence(total.doubtful, total.doubts, of, skips=skips)
    if counts.problems:
        count = _rows(counts.skipped)
        yield f"Skipped, since they cannot be used: {count}{of}; the first: {counts.problems[0]}"
    for number, what in (
        (total.evaluated, "Not trained on, since data.evaluation has them too"),
        (counts.dropped, "Left out, since they are too long (data.cutoff)"),
        (counts.untrained, "Left out, since they hold no trained answer"),
        (total.cut, "Cut to fit (data.cutoff)"),
    ):
        if number:
            yield f"{what}: {_rows(number)}{of}."


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"


def _total(tallies: Sequence[Tally]) -> Tally:
    return Tally(
        read=sum(each.read for each in tallies),
        cut=sum(each.cut for each in tallies),
        evaluated=sum(each.evaluated for each in tallies),
        doubtful=sum(each.doubtful for each in tallies),
        doubts=sum((each.doubts for each in tallies), Counter()),
        counts=sum((each.counts for each in tallies), Counts()),
    )
