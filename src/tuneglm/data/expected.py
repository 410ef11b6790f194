"""How many rows a set holds, as far as its first ones tell: for streams, which nobody counts."""

import json
import zlib
from collections.abc import Sequence
from pathlib import Path

from tuneglm.data.containers import is_packed
from tuneglm.data.example_set import ExampleSet
from tuneglm.data.files import RawRow, data_files

MEASURED = 1 << 20  # characters of the first rows that are compressed on trial


def expected_rows(examples: ExampleSet, first: Sequence[RawRow], asked: int) -> float:
    """Rows that the set takes, where of the `asked` first ones there are these.

    Fewer than were asked for are all. Else it goes by bytes: those of the files and those
    of the first rows, which are compressed on trial where the files are.
    """
    if len(first) < asked:
        return len(first)
    text = "\n".join(
        json.dumps(row.value, ensure_ascii=False, default=str) for row in first[:asked]
    )
    plain = len(text.encode("utf-8", "replace"))
    tried = text[:MEASURED].encode("utf-8", "replace")
    packed = plain * len(zlib.compress(tried)) / len(tried)
    rows = sum(
        file.stat().st_size / (packed if _is_packed(file) else plain) * len(first)
        for file in data_files(examples.content)
    )
    return min(rows * _taken(first), examples.entry.max_rows or rows)


def _taken(first: Sequence[RawRow]) -> float:
    """The share of a file's rows that an entry takes: some kinds alone, or any that are drawn."""
    within = [row.number for row in first if row.file == first[0].file]
    return len(within) / within[-1]


def _is_packed(file: Path) -> bool:
    with file.open("rb") as content:
        return is_packed(content.read(8))
