"""Parquet and Arrow files → (number, row), a batch at a time.

They have no lines: the row's number stands for its line.
"""

from collections.abc import Callable, Iterator
from typing import Any

from tuneglm.data.columns import RowError
from tuneglm.data.containers import Stream
from tuneglm.data.json_rows import NumberedRow
from tuneglm.errors import DataError

# rows that are Python objects at once
_BATCH = 1000
Batches = Callable[[Any], Iterator[Any]]


def arrow_rows(stream: Stream, kind: str) -> Iterator[NumberedRow]:
    """The rows of a file of one of `KINDS`."""
    import pyarrow  # takes 0.15 s, which no other file should pay

    number = 0
    try:
        with stream.seekable() as file:
            for batch in KINDS[kind](file):
                _check_columns(stream.name, batch.schema.names)
                for start in range(0, batch.num_rows, _BATCH):
                    for row in _rows(batch.slice(start, _BATCH)):
                        number += 1
                        yield number, row
    except (pyarrow.ArrowException, UnicodeDecodeError, MemoryError) as error:
        # names of columns that are not UTF-8, and sizes beyond all memory, are damage too
        raise _broken(stream.name, kind, number, error) from None
    except OSError as error:
        if error.strerror:
            raise
        raise _broken(stream.name, kind, number, error) from None


def _parquet(file: Any) -> Iterator[Any]:
    import pyarrow.parquet

    yield from pyarrow.parquet.ParquetFile(file).iter_batches(_BATCH)


def _arrow_file(file: Any) -> Iterator[Any]:
    import pyarrow.ipc

    reader = pyarrow.ipc.open_file(file)
    for number in range(reader.num_record_batches):
        yield _validated(reader.get_batch(number))


def _arrow_stream(file: Any) -> Iterator[Any]:
    import pyarrow.ipc

    yield from map(_validated, pyarrow.ipc.open_stream(file))


def _validated(batch: Any) -> Any:
    """Arrow trusts the sizes in a file: without this a damaged one could end the process."""
    batch.validate(full=True)
    return batch


# `datasets` writes streams, Feather is a file
KINDS: dict[str, Batches] = {
    "Parquet": _parquet,
    "Arrow": _arrow_file,
    "Arrow stream": _arrow_stream,
}


def _rows(batch: Any) -> Iterator[object]:
    try:
        yield from batch.to_pylist()
    except (ValueError, OverflowError):
        # a text that is not UTF-8, a time that Python cannot hold: only that row is lost
        for index in range(batch.num_rows):
            yield _one_row(batch.slice(index, 1))


def _one_row(batch: Any) -> object:
    try:
        return batch.to_pylist()[0]
    except UnicodeDecodeError:
        return RowError("a text in it is not UTF-8", "write the file again, with UTF-8", "encoding")
    except (ValueError, OverflowError) as error:
        return RowError(f"a value in it cannot be read: {error}", "write the column as text")


def _check_columns(name: str, columns: list[str]) -> None:
    for column in columns:
        if columns.count(column) > 1:
            raise DataError(f"`{name}`: two columns are named `{column}`.", "rename one of them")


def _broken(name: str, kind: str, number: int, error: Exception) -> DataError:
    where = f"behind row {number}" if number else "from its beginning"
    reason = (str(error).splitlines() or ["out of memory"])[0].rstrip(".")
    return DataError(
        f"`{name}` cannot be read as {kind} {where}: {reason}.",
        "fetch or copy it again if it was cut short",
    )
