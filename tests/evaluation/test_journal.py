"""An evaluation's folder: goes on, refuses what is other, never overwrites."""

from pathlib import Path

import pytest

from tuneglm.errors import OutputError
from tuneglm.evaluation.journal import JOURNAL_FILE, journal_in


def test_a_step_is_done_once(tmp_path: Path) -> None:
    made: list[int] = []
    for _ in range(2):
        with journal_in(tmp_path / "e", {"rows": 3}) as journal:
            assert journal.once("loss", lambda: made.append(1) or [1.5]) == [1.5]
    assert made == [1]


def test_other_settings_want_another_folder(tmp_path: Path) -> None:
    with journal_in(tmp_path / "e", {"rows": 3}) as journal:
        journal.once("loss", lambda: 1)
    with (
        pytest.raises(OutputError, match="with other rows: `3`, and now `4`") as refused,
        journal_in(tmp_path / "e", {"rows": 4}),
    ):
        pass
    assert "--output" in str(refused.value)


def test_what_is_no_evaluation_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="is not an evaluation"), journal_in(tmp_path, {}):
        pass
    with pytest.raises(OutputError, match="is a file"), journal_in(tmp_path / "notes.txt", {}):
        pass
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / JOURNAL_FILE).write_text("{")
    with pytest.raises(OutputError, match="not readable"), journal_in(folder, {}):
        pass


def test_one_at_a_time(tmp_path: Path) -> None:
    with (
        journal_in(tmp_path / "e", {}),
        pytest.raises(OutputError, match="Another process"),
        journal_in(tmp_path / "e", {}),
    ):
        pass
