"""A run as trackers see it: one run of theirs for one of ours, its files in the output folder."""

import json
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.conftest import Configure
from tests.test_training import unfinished
from tuneglm.checkpoints import Output
from tuneglm.errors import ConfigError, DivergedError
from tuneglm.reports import trackers
from tuneglm.reports.trackers import Opened, Reported, tracked
from tuneglm.stages import arguments
from tuneglm.training import train


class Diary:
    """A tracker that writes down what it is told."""

    def __init__(self) -> None:
        self.runs: list[Reported] = []
        self.went_well: list[bool] = []

    def open(self, run: Reported, _: Any) -> Opened:
        print("a tracker talks")
        self.runs.append(run)
        return Opened(run.known or f"id-{len(self.runs)}", "look here", self.went_well.append)


@pytest.fixture
def diary(monkeypatch: pytest.MonkeyPatch) -> Diary:
    kept = Diary()
    monkeypatch.setattr(trackers, "OPENERS", {"diary": kept.open})
    return kept


TRAINER: Any = SimpleNamespace(args=SimpleNamespace(report_to=["diary"]))


def test_a_tracker_is_told_the_run_by_its_folder_and_its_file(
    configure: Configure, tmp_path: Path, diary: Diary, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").mkdir()
    with tracked(configure(tmp_path / "out"), Output(tmp_path / "out"), TRAINER) as lines:
        assert lines == ["look here"]
    (run,) = diary.runs
    assert (run.name, run.project, run.step, run.known) == ("out", "tuneglm", 0, None)
    assert run.folder == tmp_path / "out" / "trackers"
    assert run.tree()["run"]["training"]["max_steps"] == 6
    assert diary.went_well == [True]
    assert capsys.readouterr().out == ""


def test_names_may_be_given(configure: Configure, tmp_path: Path, diary: Diary) -> None:
    (tmp_path / "out").mkdir()
    config = configure(tmp_path / "out", "training.run_name=first", "training.project=thesis")
    with tracked(config, Output(tmp_path / "out"), TRAINER):
        pass
    assert (diary.runs[0].name, diary.runs[0].project) == ("first", "thesis")


def test_what_goes_on_is_the_same_run_of_the_tracker(
    configure: Configure, tmp_path: Path, diary: Diary
) -> None:
    """From a checkpoint; from the beginning it is another."""
    folder = tmp_path / "out"
    folder.mkdir()
    config = configure(folder)
    checkpoints = None, folder / "checkpoint-4", None
    for checkpoint in checkpoints:
        with tracked(config, Output(folder, checkpoint), TRAINER):
            pass
    assert [run.known for run in diary.runs] == [None, "id-1", None]
    assert [run.step for run in diary.runs] == [0, 4, 0]
    ids = json.loads((folder / "trackers" / "ids.json").read_text())
    assert ids == {"diary": "id-3"}


def test_a_run_that_broke_off_is_closed_as_one(
    configure: Configure, tmp_path: Path, diary: Diary
) -> None:
    (tmp_path / "out").mkdir()
    with (
        pytest.raises(DivergedError),
        tracked(configure(tmp_path / "out"), Output(tmp_path / "out"), TRAINER),
    ):
        raise DivergedError("The loss is not a number any more.")
    assert diary.went_well == [False]


def test_a_tracker_that_cannot_start_is_one_sentence(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: Any) -> Opened:
        raise RuntimeError("no TTY is available\nfor interactive login")

    monkeypatch.setattr(trackers, "OPENERS", {"diary": refuses})
    (tmp_path / "out").mkdir()
    with (
        pytest.raises(ConfigError, match="cannot be started: no TTY is available for"),
        tracked(configure(tmp_path / "out"), Output(tmp_path / "out"), TRAINER),
    ):
        pass


@pytest.mark.parametrize("name", ["tensorboard", "wandb", "swanlab", "mlflow"])
def test_a_tracker_that_is_not_installed_says_what_to_type(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setitem(arguments.TRACKERS, name, lambda: False)
    with pytest.raises(ConfigError) as caught:
        train(configure(tmp_path / "out", f"training.report_to=[{name}]"))
    assert f"needs {name}, which is not installed" in caught.value.sentence
    assert caught.value.hint == f"pip install {name}"


def test_without_trackers_there_is_no_folder_of_theirs(
    configure: Configure, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    trainer: Any = SimpleNamespace(args=SimpleNamespace(report_to=[]))
    with tracked(configure(tmp_path / "out"), Output(tmp_path / "out"), trainer) as lines:
        assert lines == []
    assert list((tmp_path / "out").iterdir()) == []


def test_tensorboard_shows_each_step_of_a_resumed_run_once(
    configure: Configure, tmp_path: Path
) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    settings = ("training.report_to=tensorboard", "training.save_steps=3")
    whole = train(configure(tmp_path / "whole", *settings)).folder
    again = tmp_path / "again"
    unfinished(whole, again, keep="checkpoint-3")
    run = again / "run.yaml"
    run.write_text(run.read_text().replace(str(whole), str(again)))
    train(configure(again, *settings))
    events = EventAccumulator(str(again / "trackers" / "tensorboard"))
    events.Reload()
    steps = Counter(point.step for point in events.Scalars("train/loss"))
    assert steps == Counter(range(1, 7))


def test_a_run_that_broke_off_with_nothing_done_leaves_no_tracker(
    configure: Configure, tmp_path: Path
) -> None:
    pytest.importorskip("tensorboard")
    settings = ("training.report_to=tensorboard", "training.learning_rate=1e9")
    with pytest.raises(DivergedError):
        train(configure(tmp_path / "out", *settings, "training.max_steps=12"))
    assert not (tmp_path / "out").exists()
