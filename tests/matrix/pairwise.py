"""A few cells in which every two values that can meet do meet."""

from collections.abc import Iterable, Sequence
from dataclasses import astuple
from itertools import combinations
from typing import Any

from tests.matrix.cells import Cell

Pair = tuple[tuple[int, Any], tuple[int, Any]]


def pairs_of(cell: Cell) -> frozenset[Pair]:
    """Every two of its values, each with its place."""
    return frozenset(combinations(enumerate(astuple(cell)), 2))


def pairwise(cells: Sequence[Cell]) -> tuple[Cell, ...]:
    """Cells that together have every pair of values which any cell has.

    The next one is always that with most pairs not had yet, the first of equals. What
    is refused shows nothing of its other pairs, so it comes last, for its own.
    """
    running = [cell for cell in cells if cell.refusal is None]
    refused = [cell for cell in cells if cell.refusal is not None]
    chosen = _greedy(running, had=())
    return (*chosen, *_greedy(refused, had=chosen))


def _greedy(cells: Sequence[Cell], had: Iterable[Cell]) -> list[Cell]:
    missing = {pair for cell in cells for pair in pairs_of(cell)}
    missing -= {pair for cell in had for pair in pairs_of(cell)}
    chosen = []
    while missing:
        best = max(cells, key=lambda cell: len(pairs_of(cell) & missing))
        chosen.append(best)
        missing -= pairs_of(best)
    return chosen
