"""A name for the rows of a run: other rows, or another order, have another one."""

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np

from tuneglm.data.encoded import EncodedRows, MixedRows

PIECE = 1 << 22
PIECES = 256  # of a larger file than that: a gigabyte, which takes a second or so


def fingerprint(rows: MixedRows) -> str:
    """The same for the same tokens, trained alike, in the same order, wherever they come from."""
    digest = blake2b(digest_size=16)
    for part in rows.parts:
        digest.update((part.digest or digest_of(part)).encode())
    digest.update(np.ascontiguousarray(rows.order).data)
    return digest.hexdigest()


def digest_of(rows: EncodedRows) -> str:
    """Of all tokens, and where rows end."""
    ends = np.ascontiguousarray(rows.rows["end"])
    return digest_of_pieces(ends.data, [rows.ids.data], [rows.flags.data])


def digest_of_pieces(
    ends: memoryview, ids: Iterable[bytes | memoryview], flags: Iterable[bytes | memoryview]
) -> str:
    """As `digest_of`, of arrays that come piece by piece."""
    digest = blake2b(digest_size=16)
    digest.update(len(ends).to_bytes(8, "little"))
    for pieces in ([ends], ids, flags):
        for piece in pieces:
            digest.update(piece)
    return digest.hexdigest()


def digest_of_file(path: Path) -> str:
    """Of its bytes; of a file above a gigabyte, of its size and of pieces evenly spread in it."""
    size = path.stat().st_size
    starts: Sequence[int] = range(0, size, PIECE)
    if len(starts) > PIECES:
        starts = [i * (size - PIECE) // (PIECES - 1) for i in range(PIECES)]
    digest = blake2b(size.to_bytes(8, "little"), digest_size=16)
    with path.open("rb") as file:
        for start in starts:
            file.seek(start)
            digest.update(file.read(PIECE))
    return digest.hexdigest()


def pieces_of(path: Path) -> Iterable[bytes]:
    """A file that need not be in memory at once."""
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece
