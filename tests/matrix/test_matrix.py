"""A part of the matrix in which all pairs of values meet; the whole of it is `make matrix`."""

from pathlib import Path

import pytest

from tests.matrix.cells import BITS, CELLS, METHODS, PROCESSES, REFUSED
from tests.matrix.page import MODELS, drawn, written
from tests.matrix.pairwise import pairs_of, pairwise
from tests.matrix.verdict import fault_of
from tests.matrix.work import prepare, work
from tuneglm.methods import METHODS as KNOWN
from tuneglm.models import FAMILIES

PART = pairwise(CELLS)


@pytest.mark.parametrize("processes", PROCESSES)
def test_every_pair_of_values(processes: int, tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes")
    cells = {str(cell): cell for cell in PART if cell.processes == processes}
    outcomes = list(work(list(cells.values()), prepare(tmp_path), processes))
    assert {each.cell for each in outcomes} == cells.keys()
    assert [fault for each in outcomes if (fault := fault_of(cells[each.cell], each))] == []


def test_the_part_has_every_pair_and_is_small() -> None:
    had = {pair for cell in PART for pair in pairs_of(cell)}
    assert had == {pair for cell in CELLS for pair in pairs_of(cell)}
    running = {pair for cell in PART if cell.refusal is None for pair in pairs_of(cell)}
    assert running == {pair for cell in CELLS if cell.refusal is None for pair in pairs_of(cell)}
    assert len(PART) < 40


def test_every_method_is_in_the_matrix() -> None:
    assert set(METHODS) == KNOWN.keys()
    assert set(REFUSED) <= {(method, bits) for method in METHODS for bits in BITS}


def test_the_pages_show_it() -> None:
    for page, text in drawn().items():
        assert written(page) == text, f"{page}: run `make matrix`"


def test_every_family_has_its_models() -> None:
    assert MODELS.keys() == FAMILIES.keys()
