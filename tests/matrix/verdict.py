"""Whether what became of cells is what should."""

from collections.abc import Iterable

from tests.matrix.cells import Cell
from tests.matrix.running import Outcome


def fault_of(cell: Cell, outcome: Outcome) -> str | None:
    """What is wrong with an outcome; None: a cell passed, or was refused as `REFUSED` says."""
    if cell.refusal is None:
        return None if outcome.kind == "passed" else f"{outcome.kind}: {outcome.said}"
    if outcome.kind == "refused" and cell.refusal.words in outcome.said:
        return None
    return f"{outcome.kind}, not refused with `{cell.refusal.words}`: {outcome.said}"


def unequal_pairs(outcomes: Iterable[Outcome]) -> list[str]:
    """Cells whose two processes had other losses or weights than one that accumulates."""
    by_name = {each.cell: each for each in outcomes if each.kind == "passed"}
    return [
        name
        for name, two in by_name.items()
        if name.endswith("-2")
        and (one := by_name.get(f"{name[:-1]}1")) is not None
        and tuple(one.trained) != tuple(two.trained)
    ]
