"""Which rows of which set a run trains on, how often, and which it keeps for evaluation."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tuneglm.data.doubts import row_numbers
from tuneglm.data.encoded import Array, EncodedRows, MixedRows
from tuneglm.data.example_set import ExampleSet
from tuneglm.data.fingerprint import fingerprint
from tuneglm.data.identity import KIND
from tuneglm.data_config import DataConfig, DatasetEntry
from tuneglm.errors import DataError

IDENTITY_SHARE = 0.05  # fewer rows than that among others teach no name


@dataclass(frozen=True, eq=False)
class Part:
    """One entry of `data.train` or `data.evaluation`, encoded; `used` is (rows,) of bool."""

    examples: ExampleSet
    rows: EncodedRows
    used: Array

    @property
    def entry(self) -> DatasetEntry:
        """What the run says of it."""
        return self.examples.entry


@dataclass(frozen=True)
class SetSummary:
    """What one entry gives: rows that differ, then as often as the mix takes them.

    sources  rows of its files that they were made of: of a conversation may come several
    """

    name: str
    sources: int
    different: int
    rows: int
    tokens: int
    trained_tokens: int


@dataclass(frozen=True, eq=False)
class EncodedSet:
    """The rows of one side of a run, and what each entry gives."""

    rows: MixedRows
    sets: tuple[SetSummary, ...]

    @property
    def tokens(self) -> int:
        """Tokens of all rows."""
        return sum(each.tokens for each in self.sets)

    @property
    def trained_tokens(self) -> int:
        """Tokens that carry a label."""
        return sum(each.trained_tokens for each in self.sets)

    @property
    def sources(self) -> int | None:
        """Rows of the files that they were made of, where these are other than the rows."""
        count = sum(each.sources for each in self.sets)
        return None if count == sum(each.different for each in self.sets) else count

    @property
    def fingerprint(self) -> str:
        """The same for the same rows in the same order."""
        return fingerprint(self.rows)

    @property
    def cut(self) -> int:
        """Rows that were shortened to the cutoff."""
        return int(self.rows.of_each("cut").sum())


def without_evaluated(parts: Sequence[Part], held: Sequence[Part]) -> tuple[list[Part], str | None]:
    """The parts to train on without rows whose text is evaluated with, and a sentence on those.

    Raises DataError where that is all of them.
    """
    texts = texts_of(held)
    kept = [
        replace(part, used=part.used & ~np.isin(part.rows.texts, texts)) if len(texts) else part
        for part in parts
    ]
    before, after = (sum(int(part.used.sum()) for part in each) for each in (parts, kept))
    if after == before:
        return kept, None
    if not after:
        raise DataError(
            "Every row of data.train is in data.evaluation too.",
            "evaluate with other rows, or keep some of these: data.evaluation_share=0.1",
        )
    both = f"{before - after:,} rows of data.train are in data.evaluation too"
    return kept, f"{both}: they are not trained on."


def texts_of(parts: Sequence[Part]) -> Array:
    """(rows,) digests of all their texts."""
    return np.concatenate([np.zeros(0, np.uint64), *(part.rows.texts for part in parts)])


def split_and_mix(
    parts: Sequence[Part], held: Sequence[Part], config: DataConfig
) -> tuple[EncodedSet, EncodedSet]:
    """The rows to train on and those to evaluate with.

    A row's side depends on its text alone: it stays there when rows are added, and
    all copies of it are on one side. Where there are sets with `replay: true`, rows of
    these alone are kept, and of those with `hold` none. Raises DataError where none is left
    to train.
    """
    some = [part for part in parts if part.entry.replay is True]
    some = some or [part for part in parts if not part.entry.replay]
    limit = _limit(some, config)
    sides = [(part.rows.texts < limit) & (part in some) for part in parts]
    train = [np.flatnonzero(~side & part.used) for side, part in zip(sides, parts, strict=True)]
    if parts and not any(len(rows) for rows in train):
        raise DataError(
            "All rows went to evaluation: none is left to train on.",
            "give more rows, or lower data.evaluation_share or data.evaluation_rows",
        )
    chosen = [np.flatnonzero(side & part.used) for side, part in zip(sides, parts, strict=True)]
    whole = [np.flatnonzero(part.used) for part in held]
    return (
        _mix(parts, mixed(parts, train)),
        _mix([*parts, *held], [*chosen, *whole]),
    )


def _limit(parts: Sequence[Part], config: DataConfig) -> np.uint64:
    """Rows whose text's digest is below it are for evaluation."""
    if config.evaluation_rows and parts:
        texts = np.unique(np.concatenate([part.rows.texts[part.used] for part in parts]))
        count = min(config.evaluation_rows, len(texts))
        return np.uint64(texts[count - 1] + np.uint64(1))
    return np.uint64(min(int(config.evaluation_share * 2**64), 2**64 - 1))


def mixed(parts: Sequence[Part], available: Sequence[Array]) -> list[Array]:
    """For each part the rows that it gives to the mix, by its entry's settings."""
    given = [
        repeated(rows, part.entry.repeats, part.entry.seed)
        for part, rows in zip(parts, available, strict=True)
    ]
    given = _weighted(parts, given)
    return _shared(parts, given)


def repeated(rows: Array, times: float, seed: int | None) -> Array:
    """Each row so many times; of a fraction, that many of the rows once more, drawn by `seed`."""
    return taken(rows, round(times * len(rows)), seed)


def taken(rows: Array, count: int, seed: int | None) -> Array:
    """So many of the rows: each as often as that takes, and those once more that `seed` draws."""
    if not len(rows):
        return rows
    whole, more = divmod(count, len(rows))
    extra = np.random.default_rng(seed or 0).permutation(len(rows))[:more]
    return np.concatenate([np.tile(rows, whole), rows[np.sort(extra)]])


def _weighted(parts: Sequence[Part], given: list[Array]) -> list[Array]:
    """Parts with a weight give rows in that proportion: as many as the scarcest of them allows."""
    weights = {i: part.entry.weight for i, part in enumerate(parts) if part.entry.weight}
    if not weights:
        return given
    scale = min(len(given[i]) / weight for i, weight in weights.items())
    for i, weight in weights.items():
        share = min(1.0, scale * weight / max(1, len(given[i])))
        given[i] = repeated(given[i], share, parts[i].entry.seed)
    return given


def _shared(parts: Sequence[Part], given: list[Array]) -> list[Array]:
    """Parts with a share give that share of all rows, each row as often as that takes."""
    shares = {i: part.entry.share for i, part in enumerate(parts) if part.entry.share}
    if not shares:
        return given
    total = sum(shares.values())
    others = sum(len(rows) for i, rows in enumerate(given) if i not in shares)
    if not others:
        raise DataError(
            f"The shares of `data.train` add up to {total:g}, and the other sets give no rows.",
            "a share is of all rows: below 1, beside a set without a share",
        )
    for i, share in shares.items():
        # a row too many rather than one too few: the share that is asked for is reached
        wanted = math.ceil(round(share / (1 - total) * others, 6))
        given[i] = taken(given[i], wanted, parts[i].entry.seed)
    return given


def _mix(parts: Sequence[Part], rows: Sequence[Array]) -> EncodedSet:
    order = [np.stack([np.full(len(r), i), r], axis=1) for i, r in enumerate(rows)]
    summaries = [_summary(part, chosen) for part, chosen in zip(parts, rows, strict=True)]
    mixed_rows = MixedRows(
        tuple(part.rows for part in parts),
        np.concatenate([*order, np.zeros((0, 2), np.int64)]),
        tuple(part.entry.replay for part in parts),
    )
    return EncodedSet(mixed_rows, tuple(summaries))


def _summary(part: Part, chosen: Array) -> SetSummary:
    (numbers,) = row_numbers([part.rows.rows[chosen]], [part.rows.files])
    return SetSummary(
        part.examples.name,
        _unlike(numbers),
        _unlike(chosen),
        len(chosen),
        int(part.rows.lengths[chosen].sum()),
        int(part.rows.trained_lengths[chosen].sum()),
    )


def _unlike(values: Array) -> int:
    """How many values there are, each counted once: sorting is faster than asking for them."""
    in_order = np.sort(values)
    return int(np.count_nonzero(in_order[1:] != in_order[:-1])) + min(1, len(values))


def identity_note(parts: Sequence[Part], mix: EncodedSet) -> str | None:
    """A sentence where the rows that say who the model is are too few to be learnt."""
    own = [i for i, part in enumerate(parts) if is_identity(part.examples, _kinds(part.rows))]
    count = int(np.isin(mix.rows.order[:, 0], own).sum())
    rows = max(1, len(mix.rows))
    # another set's share, rounded to whole rows, may have made one that was asked for a row short
    if not count or count + 1 > IDENTITY_SHARE * rows:
        return None
    return too_few(parts[own[0]].examples, count / rows)


def too_few(identity: ExampleSet, share: float) -> str:
    """What is said of an identity set that is this share of the rows."""
    return (
        f"`{identity.name}` is {100 * share:.3g}% of the rows: below {IDENTITY_SHARE:.0%} a model "
        "does not learn who it is. Give it a share: "
        f"{{{identity.key}, share: {IDENTITY_SHARE}}}"
    )


def is_identity(examples: ExampleSet, kinds: Mapping[str, int]) -> bool:
    """Whether a set says who the model is: by the kinds of its rows, or what they wait for."""
    return bool(examples.placeholders) or 2 * kinds.get(KIND, 0) > sum(kinds.values())


def _kinds(rows: EncodedRows) -> dict[str, int]:
    numbers = np.bincount(rows.rows["kind"], minlength=len(rows.kinds)).tolist()
    return dict(zip(rows.kinds, numbers, strict=True))
