"""A part of the matrix in which all pairs of values meet; the whole of it is `make matrix`."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from tests.matrix.cells import BATCHING, BITS, CELLS, METHODS, PROCESSES, REFUSED
from tests.matrix.page import MODELS, drawn, written
from tests.matrix.pairwise import pairs_of, pairwise, partners
from tests.matrix.running import Outcome
from tests.matrix.verdict import fault_of, unequal_pairs
from tests.matrix.work import prepare, work
from tuneglm.methods import METHODS as KNOWN
from tuneglm.models import FAMILIES

EVERY_PAIR = pairwise(CELLS)
COMPARED = ("full", "lora", "p_tuning")
PART = (*EVERY_PAIR, *partners(EVERY_PAIR, COMPARED))


def test_every_pair_of_values_and_two_processes_as_one(tmp_path: Path) -> None:
    """Those of one process and those of two at the same time, as `make matrix` does."""
    pytest.importorskip("bitsandbytes")
    cells = {str(cell): cell for cell in PART}
    folder = prepare(tmp_path)

    def through(processes: int) -> list[Outcome]:
        own = [cell for cell in PART if cell.processes == processes]
        return list(work(own, folder, processes))

    with ThreadPoolExecutor() as threads:
        outcomes = [each for found in threads.map(through, PROCESSES) for each in found]
    assert {each.cell for each in outcomes} == cells.keys()
    assert [fault for each in outcomes if (fault := fault_of(cells[each.cell], each))] == []
    assert unequal_pairs(outcomes) == []


def test_the_part_has_every_pair_and_is_small() -> None:
    had = {pair for cell in PART for pair in pairs_of(cell)}
    assert had == {pair for cell in CELLS for pair in pairs_of(cell)}
    running = {pair for cell in PART if cell.refusal is None for pair in pairs_of(cell)}
    assert running == {pair for cell in CELLS if cell.refusal is None for pair in pairs_of(cell)}
    assert len(PART) < 40


@pytest.mark.parametrize("batching", BATCHING)
@pytest.mark.parametrize("method", COMPARED)
def test_the_part_compares_two_processes_with_one(method: str, batching: str) -> None:
    alike = [cell for cell in PART if (cell.method, cell.batching) == (method, batching)]
    assert any(replace(cell, processes=2) in alike for cell in alike if cell.processes == 1)


def test_every_method_is_in_the_matrix() -> None:
    assert set(METHODS) == KNOWN.keys()
    assert set(REFUSED) <= {(method, bits) for method in METHODS for bits in BITS}


def test_the_pages_show_it() -> None:
    for page, text in drawn().items():
        assert written(page) == text, f"{page}: run `make matrix`"


def test_every_family_has_its_models() -> None:
    assert MODELS.keys() == FAMILIES.keys()
