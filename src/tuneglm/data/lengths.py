"""How long the rows of a set are in tokens, and what a cutoff does to them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tuneglm.data.cutoff import Rule
from tuneglm.data.doubts import row_numbers
from tuneglm.data.encode import Encoder
from tuneglm.data.encoded import TRAINED, Array, EncodedRows
from tuneglm.data.example_set import RowProblem
from tuneglm.data.messages import Source
from tuneglm.data.pipeline import encode_set
from tuneglm.data.scan import ScannedSet, Tell
from tuneglm.data_config import DataConfig

# a cutoff that cuts no more rows than that is as good as none
FEW = 0.01
# where an answer's last token is looked for: a template may write a line break behind it
LAST_TOKENS = 4
# of a histogram: at most so many bars, up to the length that so many rows do not reach
BARS, SHOWN_SHARE = 16, 0.995


@dataclass(frozen=True, eq=False)
class Lengths:
    """A set's rows in tokens.

    full      (rows,) tokens of each row before anything was cut
    dropped   rows that do not fit at all; they are not among the others
    rule      of the run
    no_end    (rows,) whether no token that ends an answer stands at the end
    gone      the first rows that the model never sees, and why
    refused   rows for which the prompt has no place
    lost      (rows of the scanned set,) whether the model never sees the row
    """

    scanned: ScannedSet
    rows: EncodedRows
    full: Array
    rule: Rule
    dropped: int
    no_end: Array
    gone: tuple[RowProblem, ...] = ()
    refused: int = 0
    lost: Array = field(default_factory=lambda: np.zeros(0, bool))

    @property
    def name(self) -> str:
        """The set's."""
        return self.scanned.name

    @property
    def drops(self) -> bool:
        """Whether the run leaves out what is too long, rather than cut it."""
        return self.rule.over_cutoff == "drop"

    @property
    def cut(self) -> int:
        """Rows of which something is cut or that are left out."""
        return int(self.rows.cut.sum()) + self.dropped

    @property
    def answers_cut(self) -> int:
        """Rows of which an answer is cut; none where they are left out instead."""
        return 0 if self.drops else int(self.rows.rows["answer_cut"].sum())

    @property
    def count(self) -> int:
        """All rows."""
        return len(self.full) + self.dropped


def measured(
    sets: Sequence[ScannedSet],
    encoder: Encoder,
    end_tokens: Sequence[int],
    config: DataConfig,
    tell: Tell,
) -> list[Lengths]:
    """Figures of each set that can be read to its end."""
    rule = encoder.rule
    if rule.over_cutoff == "drop":
        # what is left out has a length too
        encoder = replace(encoder, rule=replace(rule, over_cutoff="truncate_start"))
    skipping = config.model_copy(update={"bad_rows": "skip"})
    found = []
    for each in sets:
        if each.stopped is None:
            rows, counts = encode_set(each.examples, encoder, skipping, tell)
            refused = counts.skipped - (each.read - len(each.table))
            full, no_end = rows.rows["full"].astype(np.int64), ~_ends(rows, end_tokens)
            unlike = (one for one in counts.problems if one.problem == "not_rendered")
            gone = (*unlike, *counts.left_out)
            lost = ~given_rows(each, rows, uncut=rule.over_cutoff == "drop")
            found.append(
                Lengths(each, rows, full, rule, counts.dropped, no_end, gone, refused, lost)
            )
    return found


def given_rows(scanned: ScannedSet, rows: EncodedRows, *, uncut: bool = False) -> Array:
    """(rows of the scanned set,) whether the model sees something of each: `uncut`, all."""
    tables = [scanned.table, rows.rows[~rows.cut] if uncut else rows.rows]
    numbers, given = row_numbers(tables, [scanned.files, rows.files])
    return np.isin(numbers, given)


def _ends(rows: EncodedRows, end_tokens: Sequence[int]) -> Array:
    """(rows,) whether a trained token that ends an answer is among each row's last ones."""
    ends, lengths = rows.rows["end"].astype(np.int64), rows.lengths
    found = np.zeros(len(ends), bool)
    for back in range(1, LAST_TOKENS + 1):
        there = lengths >= back
        places = ends[there] - back
        is_trained = (rows.flags[places] & TRAINED) > 0
        found[there] |= is_trained & np.isin(rows.ids[places], end_tokens)
    return found


def cutoff_for(lengths: Lengths, share: float = FEW) -> int | None:
    """The least cutoff, a multiple of 8, that cuts no more than this share; None if none does.

    None, too, where prompts and answers have lengths of their own.
    """
    spared = lengths.count - int(share * lengths.count)
    if lengths.rule.over_cutoff == "source_target":
        return None
    if not len(lengths.full) or spared > len(lengths.full):
        return None
    longest = int(np.partition(lengths.full, spared - 1)[spared - 1])
    return max(16, -(-longest // 8) * 8)


@dataclass(frozen=True)
class Bar:
    """Rows with at least `start` and fewer than `end` tokens; the last bar has no end."""

    start: int
    end: int | None
    rows: int


def histogram(lengths: Lengths, bars: int = BARS) -> list[Bar]:
    """At most so many bars of one width, a power of two; the last one holds the rest."""
    if not lengths.count:
        return []
    longest = (
        int(np.quantile(lengths.full, SHOWN_SHARE, method="lower")) if len(lengths.full) else 1
    )
    width = 4
    while width * (bars - 1) <= longest:
        width *= 2
    counts = np.bincount(np.minimum(lengths.full // width, bars - 1), minlength=bars)
    counts[-1] += lengths.dropped
    last = int(np.flatnonzero(counts)[-1])
    return [
        Bar(i * width, None if i == bars - 1 else (i + 1) * width, int(counts[i]))
        for i in range(last + 1)
    ]


def none_left(lengths: Lengths) -> RowProblem | None:
    """What is wrong with a set of which the model sees no row, though rows of it can be used."""
    if not len(lengths.lost) or not lengths.lost.all():
        return None
    source = Source(lengths.name, str(lengths.scanned.examples.file), 1, 1)
    sentence = f"no row of `{lengths.name}` is left to train on ({lengths.rule.limit})"
    return RowProblem(source, sentence, lengths.rule.remedy, "no_rows", is_of_row=False)


def length_notes(lengths: Lengths, doubtful: Array) -> Iterator[RowProblem]:
    """What the cutoff does to rows, once a row; doubtful ones, (rows,) of bool, left out."""
    table, scanned = lengths.rows.rows, lengths.scanned
    both = [table, scanned.table[doubtful]]
    numbers, left_out = row_numbers(both, [lengths.rows.files, scanned.files])
    told = (table["cut"] | lengths.no_end) & ~np.isin(numbers, left_out)
    rows = np.flatnonzero(told)
    _, first = np.unique(numbers[rows], return_index=True)
    for row in rows[np.sort(first)]:
        entry = table[row]
        file, line, number = lengths.rows.files[entry["file"]], entry["line"], entry["number"]
        source = Source(lengths.name, file, int(line), int(number))
        yield _length_note(source, entry, lengths)


def _length_note(source: Source, entry: np.void, lengths: Lengths) -> RowProblem:
    if not entry["cut"]:
        sentence = "no token that ends an answer stands at the end: the model does not learn to end"
        return RowProblem(source, sentence, "see what `tuneglm data show` shows", "no_end")
    what, problem = "what comes before the answers is shortened", "row_cut"
    if lengths.drops:
        what, problem = "the row is left out", "left_out"
    elif entry["answer_cut"]:
        what, problem = "the answer is cut", "answer_cut"
    sentence = f"{what}: the row has {entry['full']:,} tokens, {lengths.rule.limit}"
    return RowProblem(source, sentence, lengths.rule.remedy, problem)
