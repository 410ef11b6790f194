"""How much of what a process lets go stays with it."""

import subprocess
import sys

import pytest

BLOCKS_OF_A_MEGABYTE = """
from pathlib import Path
from tuneglm.allocation import give_large_blocks_back

give_large_blocks_back()
import torch

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6

torch.ones(10)
before = resident()
blocks = [torch.ones(250_000) for _ in range(20)]
held = resident() - before
del blocks
print(held, resident() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's own settings")
def test_small_blocks_stay_for_the_next_step() -> None:
    asked = [sys.executable, "-c", BLOCKS_OF_A_MEGABYTE]
    output = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    held, kept = map(float, output.split())
    assert held > 15
    assert kept > 15
