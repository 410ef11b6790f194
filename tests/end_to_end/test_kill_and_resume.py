"""A short form of benchmarks/kill_and_resume.py: three deaths each, two of them inside a save."""

import random
from pathlib import Path

import pytest

from benchmarks.kill_and_resume import Command, Outcome, kill_and_resume, write_rows


@pytest.mark.parametrize("method", ["lora", "p_tuning"])
def test_a_run_survives(method: str, tmp_path: Path) -> None:
    command = Command(write_rows(tmp_path / "rows.json"), steps=15, method=method)
    assert command.run(tmp_path / "whole").returncode == 0
    whole = Outcome.of(tmp_path / "whole", command.weights)
    assert len(whole.losses) == 5
    chance = random.Random(0)
    deaths = list(kill_and_resume(command, tmp_path, whole, ("save", "step", "save"), chance))
    assert len(deaths) == 3
