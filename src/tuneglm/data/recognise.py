"""Which format a file has, from its first rows; said in one line, and never guessed further.

A format fits where the columns that it needs are there, under our name or under
one other that is known for it. Of those that fit, the one with the fewest other
names is taken, and of these the first in the order of FORMATS. What merely looks
like a column of ours is only proposed.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tuneglm.data.columns import OTHER_NAMES, Columns, Row, listed, nearest, quoted
from tuneglm.data.formats import FORMATS, Format
from tuneglm.data.named_sets import BELLE, GUANACO
from tuneglm.errors import DataError

ROWS_LOOKED_AT = 50
# whose first line gives the columns' names, also where it is meant to be a row
TABLE = re.compile(r"\.(csv|tsv)(\.(gz|zst|xz))?$", re.IGNORECASE)


@dataclass(frozen=True)
class Recognised:
    """How a file is read.

    format    a name of FORMATS
    columns   our column → the file's, where they differ
    sentence  one line that says it; empty where there was nothing to find out
    unused    the file's columns of which it says that they are not used
    """

    format: str
    columns: Columns
    sentence: str = ""
    unused: tuple[str, ...] = ()


def format_of(
    rows: Sequence[object], file: str, *, known: str | None = None, renamed: Columns | None = None
) -> Recognised:
    """The format that a run or the registry names (`known`), else the one that the rows have.

    Raises DataError where there is no such format or column, and where none fits.
    """
    renamed = renamed or {}
    if known is None:
        return recognise(rows, file, renamed)
    if known not in FORMATS:
        near = nearest(known, FORMATS)
        hint = f"did you mean `{near}`?" if near else f"known: {', '.join(FORMATS)}"
        raise DataError(f"There is no format `{known}`.", hint)
    check_column_names(renamed, FORMATS[known].names)
    return Recognised(known, renamed)


def recognise(
    rows: Sequence[object], file: str = "the file", renamed: Columns | None = None
) -> Recognised:
    """The format of a file's first rows; `renamed` is what the run says of its columns.

    Without one whole row, it is Alpaca's: each row will say what is wrong with it.
    Raises DataError, which names the columns found, where no format fits.
    """
    renamed = renamed or {}
    known = dict.fromkeys(name for each in FORMATS.values() for name in each.names)
    check_column_names(renamed, tuple(known))
    whole = [row for row in rows[:ROWS_LOOKED_AT] if isinstance(row, Mapping) and row]
    if not whole:
        return Recognised("alpaca", renamed)
    present = _columns_of(whole)
    fitting = list(_fitting(whole, present, renamed))
    if not fitting:
        raise _nothing_fits(file, present, renamed, _rows_inside(file, whole))
    # of equal length, min takes the first
    name, columns = min(fitting, key=lambda fit: len(fit[1]))
    columns = {**columns, **_optional(FORMATS[name], present, columns)}
    unused = _unused(FORMATS[name], columns, present)
    sentence = _sentence(file, FORMATS[name], columns, present, whole)
    rest = f"; not used: {quoted(unused)}" if unused else ""
    return Recognised(name, columns, sentence + rest, unused)


def check_column_names(renamed: Columns, columns: Sequence[str]) -> None:
    """Raises DataError for a column that is none of `columns`."""
    for column in renamed:
        if column not in columns:
            raise DataError(
                f"`columns` names `{column}`, which is no column of ours.",
                _column_hint(column, renamed[column], columns),
            )


def _column_hint(column: str, theirs: str, columns: Sequence[str]) -> str:
    if theirs in columns:
        return f"our column comes first, then the file's: columns: {{{theirs}: {column}}}"
    known = (ours for ours, others in OTHER_NAMES.items() if column.lower() in others)
    near = next((ours for ours in known if ours in columns), None) or nearest(column, columns)
    return f"did you mean `{near}`?" if near else f"known: {', '.join(columns)}"


def _columns_of(rows: Sequence[Row]) -> list[str]:
    """Columns of at least half of the rows: a few bad rows do not hide what a file is."""
    counts: dict[str, int] = {}
    for row in rows:
        for column in row:
            counts[column] = counts.get(column, 0) + 1
    common = [column for column, count in counts.items() if 2 * count >= len(rows)]
    return common or list(counts)


def _fitting(
    rows: Sequence[Row], present: Sequence[str], renamed: Columns
) -> Iterator[tuple[str, dict[str, str]]]:
    """Each format that fits, with the columns that have other names."""
    for name, each in FORMATS.items():
        if not each.needs or not set(renamed) <= set(each.names):
            continue
        columns = dict(renamed)
        for column in each.needs:
            if column in columns or (column in present and column not in columns.values()):
                continue
            others = _others(column, present, columns, each)
            if len(others) != 1:
                break
            columns[column] = others[0]
        else:
            if _looks_like(name, rows, each.columns_with(columns)):
                yield name, columns


def _others(column: str, present: Sequence[str], taken: Columns, each: Format) -> list[str]:
    """Columns of the file that are known to be this one under another name, and no other of ours.

    More than one is as good as none: which it is, a person has to say.
    """
    free = [name for name in present if name not in taken.values() and name not in each.columns]
    return [name for name in free if name.lower() in (column, *OTHER_NAMES.get(column, ()))]


def _optional(each: Format, present: Sequence[str], columns: Columns) -> dict[str, str]:
    """Other names of the columns that a format can do without."""
    found: dict[str, str] = {}
    for column in each.columns:
        if column in columns or column in present or column in each.needs:
            continue
        others = _others(column, present, {**columns, **found}, each)
        if len(others) == 1:
            found[column] = others[0]
    return found


def _looks_like(name: str, rows: Sequence[Row], columns: Columns) -> bool:
    """Whether the rows have what beside their columns' names sets some formats apart."""
    if name == "text":
        # an article with its summary would be a pity to take for mere text
        return columns["text"] == "text" or len(rows[0]) == 1
    if name not in ("belle_multiturn", "guanaco"):
        return True
    marks = BELLE if name == "belle_multiturn" else GUANACO
    texts = [row.get(columns["instruction"]) for row in rows]
    chats = [text for text in texts if isinstance(text, str) and marks.turn.match(text.lstrip())]
    if name == "belle_multiturn":
        return 2 * len(chats) > len(rows)
    # most rows of Guanaco are no chats; a chat has both speakers
    return any(
        any(match["assistant"] for match in marks.turn.finditer(text)) and marks.user in text
        for text in chats
    )


def _sentence(
    file: str, each: Format, columns: Columns, present: Sequence[str], rows: Sequence[Row]
) -> str:
    used = []
    for column, theirs in each.columns_with(columns).items():
        if theirs not in present or column not in each.columns:
            continue
        name = f"`{theirs}`" if theirs == column else f"`{theirs}` as `{column}`"
        used.append(name + _keys(row[theirs] for row in rows if theirs in row))
    return f"`{file}`: {each.title} ({listed(used)})"


def _unused(each: Format, columns: Columns, present: Sequence[str]) -> tuple[str, ...]:
    read = {theirs for ours, theirs in each.columns_with(columns).items() if ours in each.columns}
    return tuple(column for column in present if column not in read)


def _keys(values: Iterator[Any]) -> str:
    """` with from/value`, where a column holds lists of messages."""
    first = next(values, None)
    message = first[0] if isinstance(first, list) and first else None
    if not isinstance(message, Mapping):
        return ""
    keys = [key for key in message if key in ("from", "role", "value", "content")]
    return f" with {'/'.join(keys)}" if keys else ""


def _rows_inside(file: str, rows: Sequence[Row]) -> str:
    """What to do where the only row is an object around the rows."""
    if len(rows) > 1:
        return ""
    for key, value in rows[0].items():
        if isinstance(value, list) and value and all(isinstance(one, Mapping) for one in value):
            return f"the list under `{key}` alone should be the file (jq '.\"{key}\"' {file} > NEW)"
    return ""


def _nothing_fits(file: str, present: Sequence[str], renamed: Columns, inside: str) -> DataError:
    """What was found, what would be understood, and what comes nearest to it."""
    by_needs: dict[tuple[str, ...], str] = {}
    for name, each in FORMATS.items():
        # of formats that need the same, the last is the plain one
        by_needs[each.needs] = name
    known = ", ".join(
        f"{name} ({', '.join(f'`{column}`' for column in needs)})"
        for needs, name in by_needs.items()
        if needs
    )
    nearest_fix = inside or _nearest_fix(file, present, renamed)
    return DataError(
        f"No format fits the rows of `{file}`, whose columns are {quoted(present)}.",
        f"{nearest_fix}; formats and what they need: {known}",
        at=(file, 1, "missing_column"),
    )


def _nearest_fix(file: str, present: Sequence[str], renamed: Columns) -> str:
    """The format of which most columns are there, and what its missing ones might be."""

    def there(name: str) -> float:
        needs = FORMATS[name].needs
        return sum(column in present for column in needs) / len(needs) if needs else 0.0

    best = max(FORMATS, key=lambda name: (there(name), name == "alpaca"))
    taken = {*FORMATS[best].columns, *renamed.values()}
    fixes: list[str] = []
    missing: list[str] = []
    for column in FORMATS[best].needs:
        if column in present or column in renamed:
            continue
        free = [name for name in present if name not in taken]
        others = _others(column, free, renamed, FORMATS[best])
        proposed = others[0] if others else nearest(column, free)
        if proposed is None:
            missing.append(f"`{column}`")
        else:
            taken.add(proposed)
            fixes.append(f"{column}: {proposed}")
    if fixes and not missing:
        return f"if they are {best}, say so: columns: {{{', '.join(fixes)}}}"
    if not there(best):
        if TABLE.search(file):
            return (
                "if its first line is a row, put the columns' names above it, such as "
                "`instruction,output`; else say what they are: "
                "columns: {instruction: QUESTION, output: ANSWER}"
            )
        return "say what the columns are: columns: {instruction: QUESTION, output: ANSWER}"
    return f"the nearest is {best}, which also needs {' and '.join(missing) or 'other rows'}"
