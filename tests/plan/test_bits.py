"""`model.bits=auto`: which bits are taken, and what is said of it."""

from pathlib import Path
from typing import Any

import pytest

from tests.methods.cells import GOLDEN
from tests.test_plan import only_config, step
from tuneglm.checkpoints import as_begun, write_run_file
from tuneglm.config import load_config
from tuneglm.plan.batch_shape import Batch
from tuneglm.plan.bits import chosen_bits, with_bits
from tuneglm.plan.capacity import GIB
from tuneglm.plan.planning import plan
from tuneglm.plan.records import Memory, Plan
from tuneglm.plan.step import Step

# a run's need by its bits
NEED = {16: 14 * GIB, 8: 8 * GIB, 4: 5 * GIB}


def chosen(folder: Path, limit: int | None, *overrides: str) -> tuple[Any, str]:
    """By a plan of which the need and the limit are known."""
    pytest.importorskip("bitsandbytes")

    def planned(step: Step) -> Plan:
        memory = Memory({"weights": NEED[step.config.model.bits]})  # type: ignore[index]
        return Plan(step.config, "chatglm2", "cuda", step.batch, memory, limit, None, 1.0)

    asked = step(folder, "model.bits=auto", *overrides, batch=Batch(1, 8, 4))
    return chosen_bits(asked, planned)


@pytest.mark.parametrize(
    ("limit", "bits", "reason"),
    [
        (16, 16, "16 bits take about 14.0 of 16.0 GiB"),
        (11, 8, "16 bits take about 14.0 of 11.0 GiB; 8 bits take about 8.00 of 11.0 GiB"),
        (6, 4, "4 bits take about 5.00 of 6.00 GiB"),
        # less there is not; the run is refused by its plan
        (4, 4, "4 bits take about 5.00 of 4.00 GiB"),
    ],
)
def test_the_least_packing_that_fits(limit: int, bits: int, reason: str, tmp_path: Path) -> None:
    got, why = chosen(only_config(tmp_path), limit * GIB)
    assert got == bits
    assert why.endswith(reason)


def test_what_a_method_cannot_have_is_not_taken(tmp_path: Path) -> None:
    assert chosen(only_config(tmp_path), 6 * GIB, "method=full")[0] == 16


def test_where_nobody_knows_the_memory_nothing_is_packed(tmp_path: Path) -> None:
    assert chosen(only_config(tmp_path), None) == (16, "nobody knows how much memory `cpu` has")


def test_a_packed_checkpoint_has_its_own() -> None:
    assert chosen(GOLDEN / "v1" / "int4", GIB) == (4, "the model's files are packed so")


def test_a_plan_says_what_it_chose(tmp_path: Path) -> None:
    folder = only_config(tmp_path)
    config = load_config(None, [f"model.path={folder}", "model.bits=auto", "data.cutoff=16"])
    planned = plan(config, memory=64 * GIB, choices=False)
    assert planned.config.model.bits == 16
    assert str(planned.bits_because).startswith("16 bits take about")


def test_a_run_that_goes_on_keeps_the_bits_it_began_with(tmp_path: Path) -> None:
    folder, output = only_config(tmp_path / "base"), tmp_path / "out"
    config = load_config(
        None, [f"model.path={folder}", "model.bits=auto", f"training.output_dir={output}"]
    )
    assert as_begun(config) == config
    output.mkdir()
    write_run_file(output, with_bits(config, 8))
    assert as_begun(config).model.bits == 8
    # what is said outright is another run's
    assert as_begun(with_bits(config, 4)).model.bits == 4
