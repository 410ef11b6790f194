"""A short form of benchmarks/kill_and_resume.py: a few deaths, most of them inside a save."""

import random
from pathlib import Path

import pytest

from benchmarks.kill_and_resume import Command, Outcome, kill_and_resume, write_rows


@pytest.mark.parametrize(
    ("method", "deaths"), [("lora", ("save", "step", "save")), ("p_tuning", ("save",))]
)
def test_a_run_survives(method: str, deaths: tuple[str, ...], tmp_path: Path) -> None:
    command = Command(write_rows(tmp_path / "rows.json"), steps=15, method=method)
    assert command.run(tmp_path / "whole").returncode == 0
    whole = Outcome.of(tmp_path / "whole", command.weights)
    assert len(whole.losses) == 5
    # moments that such a short run reaches: one that ends before its death is another whole run
    chance = random.Random(95)
    assert len(list(kill_and_resume(command, tmp_path, whole, deaths, chance))) == len(deaths)
