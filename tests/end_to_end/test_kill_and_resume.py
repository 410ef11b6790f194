"""A short form of benchmarks/kill_and_resume.py: three deaths, a flipped bit, a full disk."""

import random
from pathlib import Path

from benchmarks.kill_and_resume import (
    DAMAGES,
    Command,
    Outcome,
    damage_and_resume,
    full_disk_and_resume,
    kill_and_resume,
    write_rows,
)


def test_a_run_survives(tmp_path: Path) -> None:
    command = Command(write_rows(tmp_path / "rows.json"), steps=15)
    assert command.run(tmp_path / "whole").returncode == 0
    whole = Outcome.of(tmp_path / "whole")
    assert len(whole.losses) == 5
    chance = random.Random(0)
    deaths = list(kill_and_resume(command, tmp_path, whole, ("save", "step", "save"), chance))
    assert len(deaths) == 3
    damages = {"a bit flipped": DAMAGES["optimizer, a bit flipped"]}
    assert list(damage_and_resume(command, tmp_path, whole, damages)) == [
        ("a bit flipped", "its `optimizer.pt` is damaged.")
    ]
    kind, said = full_disk_and_resume(command, tmp_path, whole, 1.0)
    assert "There is no space left" in said
    assert ("checkpoint-5" in said) == (kind == "tmpfs")
