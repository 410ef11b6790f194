"""How much of what a process lets go stays with it."""

import os
import subprocess
import sys

import pytest
import torch

from tuneglm.allocation import KEPT, KERNEL_CACHES

BLOCKS = """
import sys
from pathlib import Path
from tuneglm.allocation import give_large_blocks_back

give_large_blocks_back()
import torch

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6

torch.ones(10)
before = resident()
megabytes, count = map(int, sys.argv[1:])
blocks = [torch.ones(megabytes * 250_000) for _ in range(count)]
held = resident() - before
del blocks
print(held, resident() - before)
"""


glibc = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's own settings")


def held_and_kept(megabytes: int, count: int) -> tuple[float, float]:
    """Megabytes of a process with so many blocks, and after it let them go."""
    asked = [sys.executable, "-c", BLOCKS, str(megabytes), str(count)]
    output = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    held, kept = map(float, output.split())
    return held, kept


@glibc
def test_small_blocks_stay_for_the_next_step() -> None:
    held, kept = held_and_kept(megabytes=1, count=20)
    assert held > 15
    assert kept > 15


@glibc
def test_large_blocks_go_back_to_the_system_at_once() -> None:
    """Together they are less than is kept of small ones: that bound would not send them back."""
    megabytes, count = 8, 6
    assert megabytes * count * 1e6 < KEPT
    held, kept = held_and_kept(megabytes, count)
    assert held > 40
    assert kept < 4


PRODUCTS_OF_MANY_LENGTHS = """
import sys
from pathlib import Path
from tuneglm import allocation

if sys.argv[1] == "few":
    # fewer than it says, so that some hundred show it
    allocation.KERNELS = 32
    allocation.bound_kernels()
import torch

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6

torch.set_num_threads(1)
weight = torch.ones(64, 64)
product = torch.ops.mkldnn._linear_pointwise
product(torch.ones(8, 64), weight, None, "none", [], "")
before = resident()
for rows in range(16, 16 * 400, 16):
    product(torch.ones(rows, 64), weight, None, "none", [], "")
print(resident() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="by /proc")
@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch without oneDNN")
def test_not_every_number_of_rows_leaves_a_kernel_behind() -> None:
    grown = {}
    for kept in ("all", "few"):
        asked = [sys.executable, "-c", PRODUCTS_OF_MANY_LENGTHS, kept]
        environment = {k: v for k, v in os.environ.items() if k not in KERNEL_CACHES}
        output = subprocess.run(
            asked, capture_output=True, text=True, check=True, env=environment
        ).stdout
        grown[kept] = float(output)
    assert grown["few"] < 0.5 * grown["all"], grown
