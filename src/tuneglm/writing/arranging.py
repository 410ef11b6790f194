"""Which slot each row lies in: rows that run in one pass lie side by side."""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from tuneglm.writing.row import Row

Key = tuple[int, str]


def moves_to(rows: Sequence[Row], key: Callable[[Row], Key]) -> dict[int, int]:
    """Slot → slot of those who must move so that the rows of one key are neighbours.

    All together take the first slots. Whoever lies among his own already stays.
    """
    moves, start = dict[int, int](), 0
    for _, group in groupby(sorted(rows, key=key), key):
        members = list(group)
        places = range(start, start + len(members))
        taken = {row.slot for row in members}
        free = iter([place for place in places if place not in taken])
        moves |= {row.slot: next(free) for row in members if row.slot not in places}
        start += len(members)
    return moves


def in_order(moves: dict[int, int], spare: int) -> Iterator[tuple[int, int]]:
    """The same moves, one after another, so that none writes over who has not moved yet."""
    waiting = dict(moves)
    while waiting:
        source = next((slot for slot, to in waiting.items() if to not in waiting), None)
        if source is None:
            # all wait for each other: one steps aside
            source, target = next(iter(waiting.items()))
            del waiting[source]
            waiting[spare] = target
            yield source, spare
            continue
        yield source, waiting.pop(source)
