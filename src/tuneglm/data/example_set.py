"""ExampleSet: one entry of a run, its file, and how a row of it becomes an Example.

    file ──files──▶ rows ──formats──▶ Example | RowProblem

Nothing is read before it is asked for: a set may be larger than memory.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from random import Random

from tuneglm.data.columns import RowError, listed, nearest
from tuneglm.data.files import Broken, Notes, RawRow, read_rows
from tuneglm.data.formats import FORMATS, KIND
from tuneglm.data.messages import Example, Source
from tuneglm.data.registered_set import RegisteredSet
from tuneglm.data_config import DatasetEntry
from tuneglm.errors import DataError


@dataclass(frozen=True, slots=True)
class RowProblem:
    """What there is against a row: one of PROBLEMS, in a sentence, and what to do.

    is_of_row  False of what is against a file or a set, and leaves no row out
    """

    source: Source
    sentence: str
    remedy: str
    problem: str
    is_of_row: bool = True

    def __str__(self) -> str:
        """One sentence, with the place."""
        return f"`{self.source}`: {self.sentence}."


@dataclass(frozen=True)
class ExampleSet:
    """One entry of a run: its file, and how a row of it becomes an Example.

    name          the set's, or else the file's
    key           how a run names it, `name: …` or `path: …`
    format        a name of FORMATS
    renamed       our column → the file's, where they differ
    placeholders  texts that `replace` should have filled
    registered    what a registry says of it, where it is named
    reading       a line that says how the file is read, where that was found out
    unused        columns of which that line says that they are not used
    kept          where what came through a pipe lies
    """

    name: str
    key: str
    file: Path
    entry: DatasetEntry
    format: str = "alpaca"
    renamed: Mapping[str, str] = field(default_factory=dict)
    placeholders: tuple[str, ...] = ()
    registered: RegisteredSet | None = None
    reading: str = ""
    unused: tuple[str, ...] = ()
    kept: Path | None = None

    @property
    def content(self) -> Path:
        """What is read: the file, or what came through it."""
        return self.kept or self.file

    def rows(self, notes: Notes | None = None, broken: Broken | None = None) -> Iterator[RawRow]:
        """The rows that the entry takes, in the file's order; for `notes` etc. see `read_rows`."""
        rows = self._of_kinds(notes, broken)
        if self.entry.max_rows is None:
            return rows
        if self.entry.seed is None:
            return islice(rows, self.entry.max_rows)
        passed_over = None if broken is None else _said_already
        count = sum(1 for _ in self._of_kinds(broken=passed_over))
        drawn = _drawn(count, self.entry.max_rows, self.entry.seed)
        return (row for number, row in enumerate(rows) if number in drawn)

    def _of_kinds(
        self, notes: Notes | None = None, broken: Broken | None = None
    ) -> Iterator[RawRow]:
        """The rows of the kinds that the entry takes, and those of which nobody can tell."""
        rows = read_rows(self.file, notes, self.kept, broken)
        if not self.entry.kinds:
            return rows
        column, kinds = self._columns[KIND], frozenset(self.entry.kinds)
        return (
            row
            for row in rows
            if not isinstance(row.value, dict) or str(row.value.get(column)) in kinds
        )

    def kinds(self) -> set[str]:
        """What the rows of the whole file say of their kinds."""
        column = self._columns[KIND]
        rows = (row.value for row in read_rows(self.file, content=self.kept))
        return {str(row[column]) for row in rows if isinstance(row, dict) and row.get(column)}

    def convert(self, row: RawRow) -> Example | RowProblem:
        """A row as an Example with its source, or what is wrong with it."""
        value = row.value
        source = Source(self.name, row.file, row.line, row.number)
        try:
            if isinstance(value, RowError):
                raise value
            example = FORMATS[self.format].convert(value, self._columns)
            messages = self._change(example).messages
            return Example(messages, example.tools, source, example.kind)
        except RowError as error:
            return RowProblem(source, error.sentence, error.remedy, error.problem)

    def examples(self) -> Iterator[Example | RowProblem]:
        """Every row of the entry."""
        return map(self.convert, self.rows())

    def settings(self) -> dict[str, object]:
        """All that decides which Examples the file's content becomes."""
        return {
            "format": self.format,
            "renamed": dict(self.renamed),
            "replace": self.entry.replace,
            "kinds": self.entry.kinds,
            "max_rows": self.entry.max_rows,
            "seed": self.entry.seed if self.entry.max_rows else None,
        }

    @property
    def named_columns(self) -> set[str]:
        """Columns that the file must have; one renamed to "" it has not."""
        columns = FORMATS[self.format].columns
        return {theirs for ours, theirs in self.renamed.items() if theirs and ours in columns}

    @property
    def read_columns(self) -> set[str]:
        """The file's columns that an Example is made of, as far as they are there."""
        return {self._columns[ours] for ours in FORMATS[self.format].columns}

    @cached_property
    def _columns(self) -> dict[str, str]:
        return FORMATS[self.format].columns_with(self.renamed)

    @cached_property
    def _change(self) -> Callable[[Example], Example]:
        return _replacer(self.entry.replace)


def bad_row(problem: RowProblem) -> DataError:
    """What stops a run at a row that cannot be used."""
    return DataError(str(problem), f"{problem.remedy}, remove the row, or set data.bad_rows=skip")


def no_column(file: Path, column: str, seen: Sequence[str], of: str = "") -> DataError:
    """A column that a run names, and no row has; `of` says of which rows."""
    near = nearest(column, seen)
    hint = f"did you mean `{near}`?" if near else f"its columns: {listed(seen)}"
    return DataError(
        f"No row{of} of `{file}` has the column `{column}` that `columns` names.", hint
    )


def no_rows(file: Path, problems: Sequence[RowProblem]) -> DataError:
    """A set of which nothing can be used."""
    if not problems:
        return DataError(f"`{file}` holds no rows.", "expected a list [{…}, {…}]")
    first = problems[0]
    return DataError(
        f"None of the {len(problems)} rows of `{file}` can be used; the first: {first}",
        first.remedy,
    )


def _said_already(_: DataError) -> None:
    """What is wrong with a file, where its rows are only counted."""


def _drawn(rows: int, count: int, seed: int) -> set[int]:
    """Numbers of `count` of the rows, each as likely as any other: the rows are read twice."""
    return set(Random(seed).sample(range(rows), min(count, rows)))


def _replacer(replacements: Mapping[str, str]) -> Callable[[Example], Example]:
    """Example → Example with the texts replaced, all at once: a new text is not replaced again.

    It can be sent to another process.
    """
    wanted = {old: new for old, new in replacements.items() if old}
    if not wanted:
        return _unchanged
    pattern = re.compile("|".join(map(re.escape, sorted(wanted, key=len, reverse=True))))
    return partial(_replaced, wanted, pattern)


def _unchanged(example: Example) -> Example:
    return example


def _replaced(wanted: Mapping[str, str], pattern: re.Pattern[str], example: Example) -> Example:
    return example.with_messages(
        [
            replace(message, content=pattern.sub(lambda old: wanted[old[0]], message.content))
            for message in example.messages
        ]
    )
