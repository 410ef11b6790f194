"""Which rows share a batch, by their lengths alone: packs without padding, and rectangles.

packs       rows one after another, as full as can be: best-fit decreasing
rectangles  rows under one another, padded to the longest: as many as fit the tokens
"""

from collections.abc import Sequence

import numpy as np

from tuneglm.data.encoded import Array

Group = list[int]


def packs(lengths: Sequence[int] | Array, capacity: int) -> list[Group]:
    """Each row's number in one pack of at most `capacity` tokens; no row may be longer.

    Best-fit decreasing: the longest row first, each into the fullest pack that has
    room for it. Packs with equal room lie in one bucket, and a bit for each bucket
    that is not empty finds the next one: a million rows take about a second.
    """
    room_for: list[list[Group]] = [[] for _ in range(capacity + 1)]
    not_empty, made = 0, list[Group]()
    order = np.argsort(-np.asarray(lengths), kind="stable")
    for row, length in zip(order.tolist(), np.asarray(lengths)[order].tolist(), strict=True):
        fitting = not_empty >> length
        if fitting:
            room = length + (fitting & -fitting).bit_length() - 1
            pack = room_for[room].pop()
            if not room_for[room]:
                not_empty ^= 1 << room
        else:
            room, pack = capacity, []
            made.append(pack)
        pack.append(row)
        room_for[room - length].append(pack)
        not_empty |= 1 << (room - length)
    return made


def rectangles(lengths: Sequence[int] | Array, tokens: int) -> list[Group]:
    """Rows in their order, cut where one more would make rows × longest larger than `tokens`.

    A row that is longer than that stands alone.
    """
    made, longest = list[Group](), 0
    for row, length in enumerate(np.asarray(lengths).tolist()):
        longest = max(longest, length)
        if made and (len(made[-1]) + 1) * longest <= tokens:
            made[-1].append(row)
        else:
            made.append([row])
            longest = length
    return made
