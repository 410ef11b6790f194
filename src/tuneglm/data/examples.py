"""load_examples: names and files of a run → sets whose rows can become Examples.

    DatasetEntry ──registry──▶ ExampleSet ──files──▶ rows ──formats──▶ Example | RowProblem

Nothing is read before it is asked for: a set may be larger than memory.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import chain, islice
from pathlib import Path
from random import Random

from tuneglm.data.columns import RowError, listed, nearest
from tuneglm.data.files import Broken, Notes, RawRow, read_rows
from tuneglm.data.first_rows import first_values, refuse_unlike_files
from tuneglm.data.formats import FORMATS, KIND
from tuneglm.data.identity_files import (
    CORRECTED_SET,
    IDENTITY_SETS,
    Answers,
    identity_files,
)
from tuneglm.data.messages import Example, Source
from tuneglm.data.pipes import kept
from tuneglm.data.recognise import Recognised, format_of
from tuneglm.data.registered_set import RegisteredSet
from tuneglm.data.registry import placeholders_of, registered_sets, resolve, set_notes
from tuneglm.data_config import DataConfig, DatasetEntry, IdentityConfig
from tuneglm.errors import DataError

# of all rows of an identity at most those that correct its base, and each of them
# this many times as often as one that says who it is
CORRECTED_SHARE, MORE_OFTEN = 0.1, 6
OWN_SHARE = 0.5  # of an identity's rows those that say who it is; the others are on other things


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


@dataclass(frozen=True)
class ExampleSets:
    """All sets of a run; `notes` are sentences for the person at the terminal."""

    train: tuple[ExampleSet, ...]
    evaluation: tuple[ExampleSet, ...]
    notes: tuple[str, ...] = ()

    @property
    def readings(self) -> tuple[str, ...]:
        """How files are read of which nothing else says it, one line each."""
        lines = (one.reading for one in (*self.train, *self.evaluation) if one.reading)
        return tuple(dict.fromkeys(lines))


def _said_already(_: DataError) -> None:
    """What is wrong with a file, where its rows are only counted."""


def load_examples(config: DataConfig, answers: Answers | None = None) -> ExampleSets:
    """The sets that `config` names, found on this disk or fetched.

    answers  rows on other things that the base has answered, in place of those that
             `data.identity` brings

    Raises DataError for what cannot be found, and where there is nothing.
    """
    if not config.train and not config.evaluation and config.identity is None:
        raise DataError(
            "There is nothing to train on: `data.train` is empty.",
            f"give a file, or a name: {', '.join(registered_sets())}",
        )
    if config.streaming:
        _refuse_pipes(config)
    train = tuple(_example_set(entry, config) for entry in config.train)
    if config.identity is not None:
        train += _identity_sets(config.identity, config, answers)
    evaluation = tuple(_example_set(entry, config) for entry in config.evaluation)
    named = [(one.registered, one.file) for one in (*train, *evaluation)]
    return ExampleSets(train, evaluation, (*set_notes(named), *_named_twice(train)))


def _named_twice(sets: Sequence[ExampleSet]) -> Iterator[str]:
    """Files that two entries name in the same way, which is rarely meant."""
    seen: list[object] = []
    for one in sets:
        entry = one.entry
        asked = one.file.resolve(), one.settings(), entry.repeats, entry.weight, entry.share
        if seen.count(asked) == 1:
            yield (
                f"`{one.name}` stands in data.train more than once: its rows are trained on as "
                "often. Leave the others out, or say so in one entry (repeats: 2)."
            )
        seen.append(asked)


def _refuse_pipes(config: DataConfig) -> None:
    """A stream is read again for every pass, and a pipe is not."""
    for entry in config.train:
        path = Path(entry.path or entry.name or "").expanduser()
        if path.is_fifo():
            raise DataError(
                f"`{path}` is a pipe, and data.streaming reads what it is given more than once.",
                "leave data.streaming out, or write the rows into a file",
            )


def first_examples(
    sets: Sequence[ExampleSet], count: int, bad_rows: str
) -> tuple[list[Example], list[RowProblem]]:
    """The first rows that can be used, and those among them that cannot."""
    examples: list[Example] = []
    problems: list[RowProblem] = []
    for one in chain.from_iterable(each.examples() for each in sets):
        if isinstance(one, Example):
            examples.append(one)
        elif bad_rows == "stop":
            raise bad_row(one)
        else:
            problems.append(one)
        if len(examples) == count:
            break
    return examples, problems


def chosen_sets(sets: ExampleSets, name: str | None) -> tuple[ExampleSet, ...]:
    """The sets of a run that are called so: all to train on without a name.

    Raises DataError for a name that no set has.
    """
    if name is None:
        return sets.train or sets.evaluation
    every = (*sets.train, *sets.evaluation)
    found = tuple(one for one in every if name in _names(one))
    if not found:
        names = [one.name for one in every]
        near = nearest(name, names)
        hint = f"did you mean `{near}`?" if near else f"its sets: {listed(names)}"
        raise DataError(f"The run has no set `{name}`.", hint)
    return found


def _names(one: ExampleSet) -> tuple[str | None, ...]:
    """What a person may call a set: as the run does, or by its file without the ending."""
    return one.name, one.name.partition(".")[0], one.entry.name, one.entry.path


def one_example(examples: ExampleSet, number: int) -> Example:
    """The row of this number among the set's, from 1 and unusable ones counted.

    Raises DataError where it cannot be used, and where there are fewer.
    """
    count = 0
    for count, row in enumerate(examples.rows(), 1):
        if count == number:
            one = examples.convert(row)
            if isinstance(one, RowProblem):
                raise DataError(str(one), one.remedy)
            return one
    raise DataError(f"There is no row {number} in `{examples.name}`.", f"it has {count} rows")


def bad_row(problem: RowProblem) -> DataError:
    """What stops a run at a row that cannot be used."""
    return DataError(str(problem), f"{problem.remedy}, remove the row, or set data.bad_rows=skip")


def _example_set(entry: DatasetEntry, config: DataConfig) -> ExampleSet:
    registered, path = resolve(entry, config)
    if registered is None:
        name, key = path.name, f"path: {path}"
    else:
        name, key = registered.name, f"name: {registered.name}"
        entry = entry.model_copy(update={"max_rows": entry.max_rows or registered.max_rows})
    pipe = kept(path) if path.is_fifo() else None
    found = _format(entry, registered, path, pipe)
    return ExampleSet(
        name,
        key,
        path,
        entry,
        found.format,
        found.columns,
        placeholders_of(path, registered),
        registered,
        found.sentence,
        found.unused,
        pipe,
    )


def _identity_sets(
    identity: IdentityConfig, config: DataConfig, answers: Answers | None
) -> tuple[ExampleSet, ...]:
    """Rows that say who the model is, and those on other things, learnt or held."""
    own, others = identity_files(identity, Path(config.dir))
    name, other_name = IDENTITY_SETS
    if answers is None:
        held = "hold" if identity.hold else False
        entries = [(name, own, False, OWN_SHARE), (other_name, others, held, 1 - OWN_SHARE)]
    else:
        corrected = _corrected_share(own, answers.corrected)
        entries = [
            (name, own, False, OWN_SHARE),
            (other_name, answers.held, "hold", 1 - OWN_SHARE - corrected),
            *([(CORRECTED_SET, answers.corrected, False, corrected)] if corrected else []),
        ]
    sets = []
    for name, file, replay, part in entries:
        share = identity.share and identity.share * part
        known = {"path": str(file), "format": "alpaca", "share": share, "replay": replay}
        if name == CORRECTED_SET and share is None:
            known["max_rows"] = max(1, int(CORRECTED_SHARE * _count(own)))
        entry = DatasetEntry.model_validate(known)
        sets.append(ExampleSet(name, f"path: {file}", file, entry))
    return tuple(sets)


def _corrected_share(own: Path, corrected: Path) -> float:
    """Of an identity's rows; 0 where its base says nothing wrong."""
    rows, others = _count(own), _count(corrected)
    return min(CORRECTED_SHARE, MORE_OFTEN * OWN_SHARE * others / rows)


def _count(file: Path) -> int:
    """Rows of a file that was written here."""
    try:
        return len(json.loads(file.read_text("utf-8")))
    except ValueError:
        raise DataError(
            f"`{file}` is not whole.", "remove it: it is written anew when it is missing"
        ) from None


def _format(
    entry: DatasetEntry, registered: RegisteredSet | None, path: Path, pipe: Path | None
) -> Recognised:
    """What the entry says, or the registry, or else the first rows of the file."""
    known = entry.format or (registered.format if registered else None)
    renamed = dict(entry.columns)
    if registered is not None and known in (None, registered.format):
        renamed = {**registered.columns, **renamed}
    looked_at = [] if known else first_values(path, pipe)
    try:
        found = format_of(looked_at, path.name, known=known, renamed=renamed)
    except DataError as error:
        # there the file's name alone was known
        error.at = error.at and (str(path), error.at[1], error.at[2])
        raise
    if pipe is None and not known:
        refuse_unlike_files(path, found)
    return found


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
