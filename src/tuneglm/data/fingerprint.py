"""A name for the rows of a run: other rows, or another order, have another one."""

from hashlib import blake2b

import numpy as np

from tuneglm.data.encoded import MixedRows


def fingerprint(rows: MixedRows) -> str:
    """The same for the same tokens, trained alike, in the same order, wherever they come from."""
    digest = blake2b(digest_size=16)
    for part in rows.parts:
        for array in (part.rows["end"], part.ids, part.flags):
            digest.update(len(array).to_bytes(8, "little"))
            digest.update(np.ascontiguousarray(array).data)
    digest.update(np.ascontiguousarray(rows.order).data)
    return digest.hexdigest()
