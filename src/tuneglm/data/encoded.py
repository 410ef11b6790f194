"""Rows for the model, many together: flat arrays instead of a list for each row.

A million rows of a hundred tokens are half a gigabyte so, in memory or mapped
from a file; as Python lists they would be twenty times that.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import NDArray

from tuneglm.data.messages import Source

UNTRAINED = -100  # the label that torch's cross entropy ignores
TRAINED, SPECIAL = 1, 2  # bits of a token's flags

Array = NDArray[Any]
Replay = bool | Literal["hold"]  # see `data.train[].replay`

# a row: where its tokens end, digests of its text and of the bare text, where it came from, how
# many of its tokens are trained, its length before it was cut, its doubts (see doubts.py), whether
# something of it was cut, and whether an answer was
ROW = np.dtype(
    [
        ("end", "<u8"),
        ("text", "<u8"),
        ("bare", "<u8"),
        ("line", "<u4"),
        ("number", "<u4"),
        ("file", "<u4"),
        ("kind", "<u4"),
        ("trained", "<u4"),
        ("full", "<u4"),
        ("doubt", "u1"),
        ("cut", "?"),
        ("answer_cut", "?"),
    ]
)


@dataclass(frozen=True, slots=True)
class Encoded:
    """One row for the model; the three lists have one length.

    labels   the id where the token is trained, else -100
    special  whether the format put the token there; for `data show`, the model never sees it
    cut      whether something of the row was left out to fit the cutoff
    replay   whether it is of a set that keeps the model as it is (`data.train[].replay`), and how
    kind     what kind of task it is, where the set says it
    place    where its first token lies among those of all different rows; see `MixedRows.places`
    """

    input_ids: list[int]
    labels: list[int]
    special: list[bool]
    source: Source | None = None
    cut: bool = False
    replay: Replay = False
    kind: str = ""
    place: int | None = None

    @property
    def length(self) -> int:
        """Number of tokens."""
        return len(self.input_ids)

    @property
    def trained_tokens(self) -> int:
        """Number of tokens that are trained."""
        return len(self.labels) - self.labels.count(UNTRAINED)


@dataclass(frozen=True, eq=False)
class EncodedRows(Sequence[Encoded]):
    """Rows of one data set in flat arrays.

    ids    (tokens,) int32
    flags  (tokens,) uint8: TRAINED and SPECIAL
    rows   (rows,) of ROW
    dataset, files, kinds  names; `file` and `kind` of a row count into the latter two
    digest  of ids, flags and ends, where it is known; see `digest_of`
    """

    ids: Array
    flags: Array
    rows: Array
    dataset: str = ""
    files: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ("",)
    digest: str = ""

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> Encoded: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Encoded]: ...

    def __getitem__(self, index: int | slice) -> Encoded | Sequence[Encoded]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        row = self.rows[index]
        place = index % len(self.rows)
        start = int(self.rows["end"][place - 1]) if place else 0
        ids, flags = self.ids[start : int(row["end"])], self.flags[start : int(row["end"])]
        return Encoded(
            ids.tolist(),
            np.where(flags & TRAINED, ids, UNTRAINED).tolist(),
            (flags & SPECIAL > 0).tolist(),
            self._source(row),
            bool(row["cut"]),
            kind=self.kinds[row["kind"]],
        )

    def _source(self, row: Any) -> Source | None:
        if not self.files:
            return None
        return Source(self.dataset, self.files[row["file"]], int(row["line"]), int(row["number"]))

    @property
    def lengths(self) -> Array:
        """(rows,) number of tokens of each row."""
        return np.diff(self.rows["end"].astype(np.int64), prepend=0)

    @property
    def trained_lengths(self) -> Array:
        """(rows,) number of trained tokens of each row."""
        return self.rows["trained"].astype(np.int64)

    @property
    def texts(self) -> Array:
        """(rows,) uint64: equal for rows of one text, but for case and white space."""
        texts: Array = self.rows["bare"]
        return texts

    @property
    def cut(self) -> Array:
        """(rows,) whether something of the row was left out."""
        cut: Array = self.rows["cut"]
        return cut


@dataclass(frozen=True, eq=False)
class MixedRows(Sequence[Encoded]):
    """Rows of several sets in an order of their own; a row may stand in it several times.

    order   (rows, 2) int64: number of the part, number of the row in it
    replay  of each part, whether its rows keep the model as it is, and how; empty: of none
    places  (rows,) int64: how many tokens of different rows lie before each; see `placed`
    """

    parts: tuple[EncodedRows, ...]
    order: Array
    replay: tuple[Replay, ...] = ()
    places: Array | None = None

    def __len__(self) -> int:
        return len(self.order)

    @overload
    def __getitem__(self, index: int) -> Encoded: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Encoded]: ...

    def __getitem__(self, index: int | slice) -> Encoded | Sequence[Encoded]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        part, number = self.order[index]
        row = self.parts[part][int(number)]
        row = replace(row, replay=self.replay[part]) if self.replay else row
        return row if self.places is None else replace(row, place=int(self.places[index]))

    def of_each(self, what: str) -> Array:
        """(rows,) one of the arrays of EncodedRows (`lengths`, `trained_lengths`, `texts`)."""
        values = [getattr(part, what) for part in self.parts]
        result = np.zeros(len(self), values[0].dtype if values else np.int64)
        for number, array in enumerate(values):
            chosen = self.order[:, 0] == number
            result[chosen] = array[self.order[chosen, 1]]
        return result

    @property
    def lengths(self) -> Array:
        """(rows,) number of tokens of each row."""
        return self.of_each("lengths")


def placed(rows: MixedRows) -> tuple[MixedRows, MixedRows]:
    """Rows that know their places, and each different one of them once, in the places' order."""
    order, number = np.unique(rows.order, axis=0, return_inverse=True)
    once = MixedRows(rows.parts, order)
    places = np.cumsum(once.lengths) - once.lengths
    return replace(rows, places=places[number.reshape(-1)]), replace(once, places=places)


def lengths_of(rows: Sequence[Encoded]) -> Array:
    """(rows,) number of tokens of each row, without making the rows where that can be."""
    if isinstance(rows, EncodedRows | MixedRows):
        return rows.lengths
    return np.array([row.length for row in rows], np.int64)
