"""The first rows of what an entry names: by them its format is found, of all its files alike."""

from collections.abc import Mapping
from itertools import islice
from pathlib import Path

from tuneglm.data.columns import RowError
from tuneglm.data.files import data_files, read_rows
from tuneglm.data.formats import FORMATS
from tuneglm.data.recognise import ROWS_LOOKED_AT, Recognised, recognise
from tuneglm.errors import DataError

FILES_LOOKED_AT = 100


def first_values(path: Path, pipe: Path | None = None) -> list[object]:
    """The first rows, as far as they can be read: who reads further is told what is wrong."""
    broken: list[DataError] = []
    rows = read_rows(path, content=pipe, broken=broken.append)
    values = [row.value for row in islice(rows, ROWS_LOOKED_AT)]
    if broken and not values:
        raise broken[0]
    return values


def refuse_unlike_files(path: Path, found: Recognised) -> None:
    """Raise a DataError where the rows of one of several files are of another format than `found`.

    A file that fits none is left to the one who reads it.
    """
    files = data_files(path)
    for file in files[:FILES_LOOKED_AT] if len(files) > 1 else ():
        try:
            values = first_values(file)
            if _fits(values, found):
                continue
            other = recognise(values, file.name)
        except DataError:
            continue
        if _fits(values, other):
            raise DataError(
                _unlike(file, other, path, found),
                f"name it as a set of its own: data.train=[{file}, OTHERS]",
                at=(str(file), 1, "missing_column"),
            )


def _unlike(file: Path, other: Recognised, path: Path, found: Recognised) -> str:
    """How a file's rows are not as those of the rest."""
    if other.format == found.format:
        return f"`{file}` has other names for its columns than other files of `{path}`."
    titles = [FORMATS[each.format].title for each in (other, found)]
    return f"`{file}` looks like {titles[0]}, and other files of `{path}` like {titles[1]}."


def _fits(values: list[object], found: Recognised) -> bool:
    """Whether the first row is one of that format."""
    each = FORMATS[found.format]
    row = next((value for value in values if isinstance(value, Mapping) and value), {})
    try:
        each.convert(row, each.columns_with(found.columns))
    except RowError as error:
        return error.problem != "missing_column"
    return True
