"""load_examples: names and files of a run → sets whose rows can become Examples.

    DatasetEntry ──registry──▶ ExampleSet ──files──▶ rows ──formats──▶ Example | RowProblem

Nothing is read before it is asked for: a set may be larger than memory.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from tuneglm.data.columns import listed, nearest
from tuneglm.data.example_set import ExampleSet, RowProblem, bad_row
from tuneglm.data.first_rows import first_values, refuse_unlike_files
from tuneglm.data.identity_files import Answers
from tuneglm.data.identity_sets import identity_sets
from tuneglm.data.messages import Example
from tuneglm.data.pipes import kept
from tuneglm.data.recognise import Recognised, format_of
from tuneglm.data.registered_set import RegisteredSet
from tuneglm.data.registry import placeholders_of, registered_sets, resolve, set_notes
from tuneglm.data_config import DataConfig, DatasetEntry
from tuneglm.errors import DataError


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
        train += identity_sets(config.identity, config, answers)
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
