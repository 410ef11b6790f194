"""load_examples: names and files of a run → Examples to train on and to evaluate with.

DatasetEntry ──registry──▶ file ──files, formats──▶ Examples ──split──▶ LoadedExamples
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import islice
from pathlib import Path

from tuneglm.config import DataConfig, DatasetEntry
from tuneglm.data.files import read_rows
from tuneglm.data.formats import FORMATS, RowError, describe, listed, nearest
from tuneglm.data.messages import Example, Source
from tuneglm.data.registry import RegisteredSet, registered_sets, resolve
from tuneglm.errors import DataError


@dataclass(frozen=True, slots=True)
class RowProblem:
    """A row that was not used, and why."""

    source: Source
    sentence: str
    remedy: str

    def __str__(self) -> str:
        """One sentence, with the place."""
        return f"`{self.source}`: {self.sentence}."


@dataclass(frozen=True)
class SetCount:
    """What became of one entry: rows for training, for evaluation, and not used."""

    name: str
    file: str
    train: int
    evaluation: int
    skipped: int


@dataclass(frozen=True)
class LoadedExamples:
    """All data of a run; `warnings` are sentences for the person at the terminal."""

    train: list[Example]
    evaluation: list[Example]
    skipped: list[RowProblem]
    sets: list[SetCount]
    warnings: list[str]


@dataclass(frozen=True)
class _LoadedSet:
    """One entry, read: `name` is the set's, or else the file's; `key` is how a run names it."""

    name: str
    key: str
    file: Path
    examples: list[Example]
    problems: list[RowProblem]
    warnings: list[str]


def load_examples(config: DataConfig) -> LoadedExamples:
    """Read, convert, mix in order and split what `config` names.

    Raises DataError for what cannot be found or read, for the first bad row
    (unless `bad_rows` is `skip`) and where no row is left.
    """
    if not config.train and not config.evaluation:
        raise DataError(
            "There is nothing to train on: `data.train` is empty.",
            f"give a file, or a name: {', '.join(registered_sets())}",
        )
    loaded = LoadedExamples([], [], [], [], [])
    for entry in config.train:
        one = _load_set(entry, config)
        _add(loaded, one, lambda example: _is_for_evaluation(example, config.evaluation_share))
    for entry in config.evaluation:
        _add(loaded, _load_set(entry, config), lambda example: True)
    if config.train and not loaded.train:
        raise DataError(
            "All rows went to evaluation: none is left to train on.",
            "give more rows, or lower data.evaluation_share",
        )
    if config.evaluation_share and not loaded.evaluation:
        loaded.warnings.append(
            f"data.evaluation_share={config.evaluation_share} of {len(loaded.train)} rows "
            "is not one row: nothing is kept for evaluation."
        )
    return loaded


def _add(
    loaded: LoadedExamples, one: _LoadedSet, is_for_evaluation: Callable[[Example], bool]
) -> None:
    """Put a set's examples on their sides, and its counts and warnings beside them."""
    train: list[Example] = []
    evaluation: list[Example] = []
    for example in one.examples:
        (evaluation if is_for_evaluation(example) else train).append(example)
    loaded.train.extend(train)
    loaded.evaluation.extend(evaluation)
    loaded.skipped.extend(one.problems)
    loaded.warnings.extend(one.warnings)
    count = SetCount(one.name, str(one.file), len(train), len(evaluation), len(one.problems))
    loaded.sets.append(count)


def _is_for_evaluation(example: Example, share: float) -> bool:
    """By the row's text alone: it stays on its side when rows are added, and so do its copies."""
    if share == 0:
        return False
    text = "\0".join(f"{message.role}\0{message.content}" for message in example.messages)
    digest = blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") < share * 2**64


def _load_set(entry: DatasetEntry, config: DataConfig) -> _LoadedSet:
    registered, path = resolve(entry, config)
    if registered is None:
        loaded = _LoadedSet(path.name, f"path: {path}", path, [], [], [])
    else:
        loaded = _LoadedSet(registered.name, f"name: {registered.name}", path, [], [], [])
    for item in _converted(loaded, registered, entry):
        if isinstance(item, Example):
            loaded.examples.append(item)
        elif config.bad_rows == "stop":
            remedy = f"{item.remedy}, remove the row, or set data.bad_rows=skip"
            raise DataError(str(item), remedy)
        else:
            loaded.problems.append(item)
    if not loaded.examples:
        raise _no_rows(loaded)
    loaded.warnings.extend(_placeholder_warnings(loaded))
    return loaded


def _converted(
    loaded: _LoadedSet, registered: RegisteredSet | None, entry: DatasetEntry
) -> Iterator[Example | RowProblem]:
    """Each row as an Example with its source, or what is wrong with it."""
    row_format = FORMATS["alpaca" if registered is None else registered.format]
    renamed = {**({} if registered is None else registered.columns), **entry.columns}
    _check_column_names(renamed, row_format.columns)
    columns = row_format.columns_with(renamed)
    unseen, seen = set(renamed.values()), dict[str, None]()
    change = _replacer(entry.replace)
    for number, (line, row) in enumerate(islice(read_rows(loaded.file), entry.max_rows), 1):
        source = Source(loaded.name, str(loaded.file), line, number)
        try:
            if isinstance(row, RowError):
                raise row
            if not isinstance(row, dict):
                raise RowError(f"expected an object `{{…}}`, found {describe(row)}")
            if unseen:
                unseen.difference_update(row)
                seen.update(dict.fromkeys(row))
            yield replace(change(row_format.convert(row, columns)), source=source)
        except RowError as error:
            yield RowProblem(source, error.sentence, error.remedy)
    if unseen and seen:
        raise _no_column(loaded.file, sorted(unseen)[0], list(seen))


def _replacer(replacements: Mapping[str, str]) -> Callable[[Example], Example]:
    """Example → Example with the texts replaced, all at once: a new text is not replaced again."""
    wanted = {old: new for old, new in replacements.items() if old}
    if not wanted:
        return lambda example: example
    pattern = re.compile("|".join(map(re.escape, sorted(wanted, key=len, reverse=True))))

    def change(example: Example) -> Example:
        return example.with_messages(
            [
                replace(message, content=pattern.sub(lambda old: wanted[old[0]], message.content))
                for message in example.messages
            ]
        )

    return change


def _check_column_names(renamed: Mapping[str, str], columns: Sequence[str]) -> None:
    for column in renamed:
        if column not in columns:
            near = nearest(column, columns)
            hint = f"did you mean `{near}`?" if near else f"known: {', '.join(columns)}"
            raise DataError(f"`columns` names `{column}`, which is no column of ours.", hint)


def _no_column(file: Path, column: str, seen: Sequence[str]) -> DataError:
    near = nearest(column, seen)
    hint = f"did you mean `{near}`?" if near else f"its columns: {listed(seen)}"
    return DataError(f"No row of `{file}` has the column `{column}` that `columns` names.", hint)


def _no_rows(loaded: _LoadedSet) -> DataError:
    if not loaded.problems:
        return DataError(f"`{loaded.file}` holds no rows.", "expected a list [{…}, {…}]")
    first = loaded.problems[0]
    return DataError(
        f"None of the {len(loaded.problems)} rows of `{loaded.file}` can be used; the first: "
        f"{first}",
        first.remedy,
    )


def _placeholder_warnings(loaded: _LoadedSet) -> Iterator[str]:
    """A sentence where `replace` left something to fill; a file is known by its name too."""
    for registered in registered_sets().values():
        if registered.file != loaded.file.name:
            continue
        left = {
            placeholder: sum(
                any(placeholder in message.content for message in example.messages)
                for example in loaded.examples
            )
            for placeholder in registered.placeholders
        }
        counts = [
            f"`{placeholder}` in {count} rows" for placeholder, count in left.items() if count
        ]
        if counts:
            filled = ", ".join(f'"{placeholder}": TEXT' for placeholder in registered.placeholders)
            yield (
                f"`{loaded.name}` still holds {' and '.join(counts)}; fill it: "
                f"data.train=[{{{loaded.key}, replace: {{{filled}}}}}]"
            )
