"""A few cells in which every two values that can meet do meet."""

from collections.abc import Iterable, Sequence
from dataclasses import astuple, replace
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


def partners(cells: Sequence[Cell], methods: Sequence[str]) -> tuple[Cell, ...]:
    """Of each of these methods and each kind of batch the first cell by the other processes.

    With its partner it shows whether two processes train as one.
    """
    first = {
        (cell.method, cell.batching): cell
        for cell in reversed(cells)
        if cell.refusal is None and cell.method in methods
    }
    others = (replace(cell, processes=3 - cell.processes) for cell in first.values())
    return tuple(cell for cell in others if cell not in cells)


def _greedy(cells: Sequence[Cell], had: Iterable[Cell]) -> list[Cell]:
    missing = {pair for cell in cells for pair in pairs_of(cell)}
    missing -= {pair for cell in had for pair in pairs_of(cell)}
    chosen = []
    while missing:
        best = max(cells, key=lambda cell: len(pairs_of(cell) & missing))
        chosen.append(best)
        missing -= pairs_of(best)
    return chosen
