"""A short form of benchmarks/kill_and_resume.py: three deaths, two of them inside a save."""

import random
from pathlib import Path

from benchmarks.kill_and_resume import Command, Outcome, kill_and_resume, write_rows


def test_a_run_survives(tmp_path: Path) -> None:
    command = Command(write_rows(tmp_path / "rows.json"), steps=15)
    assert command.run(tmp_path / "whole").returncode == 0
    whole = Outcome.of(tmp_path / "whole")
    assert len(whole.losses) == 5
    chance = random.Random(0)
    deaths = list(kill_and_resume(command, tmp_path, whole, ("save", "step", "save"), chance))
    assert len(deaths) == 3
