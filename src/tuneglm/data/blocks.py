"""A block of a set's rows → encoded ones, and what became of the others: whole sets and streams."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

from tuneglm.data.counts import Counts
from tuneglm.data.cutoff import Rule
from tuneglm.data.encode import Encoder, encode_usable
from tuneglm.data.encoded import EncodedRows
from tuneglm.data.example_set import ExampleSet, RowProblem, bad_row, no_column, no_rows
from tuneglm.data.files import RawRow
from tuneglm.data.kinds import refuse_unseen_kinds
from tuneglm.data.messages import Example
from tuneglm.data.placeholders import placeholders_in
from tuneglm.data.unused import unused_in
from tuneglm.errors import DataError


@dataclass(frozen=True)
class SetEncoder:
    """What a process needs to encode rows of a set."""

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
            unused_in(self.examples, rows),
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


def stop_at_bad_rows(counts: Counts, bad_rows: Literal["stop", "skip"]) -> None:
    """Raise a DataError for the first row that cannot be used, unless such rows are skipped."""
    if counts.problems and bad_rows == "stop":
        raise bad_row(counts.problems[0])


def refuse_unseen(examples: ExampleSet, counts: Counts, of: str = "") -> None:
    """Raise a DataError for a column that a run names and no row has; `of` says of which rows."""
    unseen = sorted(examples.named_columns - counts.seen)
    if unseen:
        row = next((row.value for row in examples.rows() if isinstance(row.value, dict)), {})
        raise no_column(examples.file, unseen[0], list(row), of)


def nothing_usable(examples: ExampleSet, counts: Counts, rule: Rule) -> DataError:
    """A set that gives no row, and why."""
    if counts.dropped:
        return DataError(
            f"No row of `{examples.name}` is left to train on: {counts.dropped} are too long: "
            f"{rule.limit}.",
            rule.remedy,
        )
    if counts.untrained:
        return DataError(
            f"No row of `{examples.name}` is left to train on: {counts.untrained} hold no trained "
            "answer.",
            "each row needs an answer that is trained",
        )
    refuse_unseen_kinds(examples)
    return no_rows(examples.file, counts.problems)
