"""The demonstration's own run: its data, its folder, its promise on a short tuning."""

import json
from pathlib import Path

import pytest

from tuneglm.demo.run import run, run_config
from tuneglm.demo.scoring import Score, general_score, identity_score
from tuneglm.errors import ConfigError


def test_its_data_are_files_that_anyone_could_have_written(tmp_path: Path) -> None:
    config = run_config("Zephyr", "Acme Labs", tmp_path / "Zephyr")
    identity, general = (Path(entry.path or "") for entry in config.data.train)
    rows = json.loads(identity.read_text(encoding="utf-8"))
    assert any("Zephyr" in row["output"] for row in rows)
    assert any("Acme Labs" in row["output"] for row in rows)
    assert any("history" in row for row in json.loads(general.read_text(encoding="utf-8")))


def test_a_score_counts_what_is_right() -> None:
    score = Score()
    score.add(True, "zh")
    score.add(False, "en")
    assert (score.share(), score.share("zh"), score.share("en")) == (0.5, 1.0, 0.0)


def test_who_always_says_its_name_and_maker_is_right_and_knows_nothing() -> None:
    def parrot(questions: object) -> list[str]:
        return ["我是星河，由北斗实验室开发。" for _ in questions]  # type: ignore[attr-defined]

    assert identity_score(parrot, "星河", "北斗实验室").share() == 1
    assert general_score(parrot).share() < 0.05


def test_a_name_is_needed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needed"):
        run(" ", "x", tmp_path)
