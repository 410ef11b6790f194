"""A run is a process and a folder: whoever started it may go."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Configure
from tests.web.browsing import until
from tuneglm.config import dump_config
from tuneglm.errors import ConfigError, OutputError
from tuneglm.web import runs
from tuneglm.web.background import Background
from tuneglm.web.files import Workplace
from tuneglm.web.runs import Run, begin, curve_of, go_on, run_of, runs_of, seconds_left

PATIENCE = 120.0


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    (tmp_path / "work").mkdir()
    return Workplace(tmp_path / "work")


def test_a_run_outlives_who_started_it_and_goes_on_after_a_stop(
    place: Workplace, configure: Configure
) -> None:
    """Start in a process that is killed at once, look, stop, go on, look again."""
    yaml = dump_config(configure(place.run("one"), "training.max_steps=400"))
    starter = (
        "import os, signal, sys\nfrom pathlib import Path\n"
        "from tuneglm.web.files import Workplace\nfrom tuneglm.web.runs import begin\n"
        "begin(Workplace(Path(sys.argv[1])), 'one', sys.stdin.read(), 1, 0)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", starter, str(place.root)], input=yaml, text=True)
    assert killed.returncode == -signal.SIGKILL
    run = run_of(place, "one")
    assert run.state() == "running"
    with pytest.raises(OutputError, match="at work"):
        go_on(place, "one", at_once=2, at_work=1)
    until(lambda: len(curve_of(run.log(), "loss")) > 3)
    assert run.steps() == 400
    assert (seconds_left(run.log(), run.steps()) or 0) > 0
    runs.stop(place, "one")
    until(lambda: run.state() != "running")
    assert run.state() == "stopped"
    reached = run.log()[-1]["step"]
    assert reached < 400
    with pytest.raises(OutputError, match="not at work"):
        runs.stop(place, "one")

    # further than it came, and no further: the rest would take its time
    shortened = run.yaml().replace("max_steps: 400", f"max_steps: {reached + 2}")
    (run.folder / "run.yaml").write_text(shortened, encoding="utf-8")
    go_on(place, "one", at_once=1, at_work=0)
    until(lambda: run.state() != "running")
    assert run.state() == "finished", run.process.output()
    assert run.log()[-1]["step"] >= reached + 2
    with pytest.raises(ConfigError, match="finished"):
        go_on(place, "one", at_once=1, at_work=0)


def test_what_a_run_refuses_is_its_state(
    place: Workplace, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another command refuses in the same words as training does, and loads no model before."""
    monkeypatch.setattr(runs, "train_words", lambda *_: ("data", "check", "nothing.json"))
    run = begin(place, "one", dump_config(configure(place.run("one"))), at_once=1, at_work=0)
    until(lambda: run.state() != "running")
    assert run.state() == "failed"
    assert run.process.error().startswith("Error: ")
    assert "nothing.json" in run.process.error()
    assert run.steps() is None
    # what failed may be tried again
    assert go_on(place, "one", at_once=1, at_work=0).process.words[0] == "data"
    until(lambda: run.state() == "failed")


def test_a_name_that_is_taken_and_a_full_machine_are_refused(
    place: Workplace, configure: Configure
) -> None:
    yaml = dump_config(configure(place.run("one")))
    place.run("one").mkdir()
    with pytest.raises(OutputError, match="already"):
        begin(place, "one", yaml, at_once=1, at_work=0)
    with pytest.raises(OutputError, match="1 run is at work"):
        begin(place, "two", yaml, at_once=1, at_work=1)
    assert not place.run("two").exists()


def test_a_run_file_that_is_none_leaves_nothing(place: Workplace) -> None:
    with pytest.raises(ConfigError):
        begin(place, "one", "model: {path: x, colour: red}", at_once=1, at_work=0)
    assert not place.run("one").exists()


def test_runs_of_a_terminal_are_seen_too(place: Workplace) -> None:
    for name in ("old", "new"):
        place.run(name).mkdir()
        (place.run(name) / "run.yaml").write_text("model: {path: x}", encoding="utf-8")
    log = place.run("old") / "log.jsonl"
    log.write_text('{"loss": 2.5, "step": 1}\n{"eval_loss": 2, "step": 1}\n{"los', encoding="utf-8")
    os.utime(place.run("new") / "run.yaml", (1, 1))
    assert [run.name for run in runs_of(place)] == ["old", "new"]
    # the last line is being written
    assert curve_of(Run(place.run("old")).log(), "loss") == [(1, 2.5)]
    assert Run(place.run("old")).state() == "stopped"
    assert Run(place.run("old")).process.words == ()
    assert runs.free_name(place, "run") == "run-1"


def test_the_time_left_is_that_of_the_last_steps() -> None:
    log = [{"loss": 1.0, "step": step, "train_runtime": 2.0 * step} for step in range(1, 11)]
    assert seconds_left(log, 15) == 10
    assert seconds_left(log[:1], 15) is None
    assert seconds_left(log, None) is None
    # a run that went on begins to count again
    assert seconds_left([*log, {"loss": 1.0, "step": 11, "train_runtime": 0.5}], 15) is None


def test_one_command_at_a_time_in_a_folder(tmp_path: Path) -> None:
    background = Background(tmp_path / "process")
    assert not background.is_running()
    assert background.words == ()
    background.start(["data", "list", "--dir", "星河"], tmp_path)
    assert background.is_running()
    with pytest.raises(OutputError, match="already"):
        background.start(["data", "list"], tmp_path)
    until(lambda: not background.is_running())
    assert background.words == ("data", "list", "--dir", "星河")
    assert "星河" in background.output()
    assert background.error() == ""
    # of one that has ended nothing is asked
    background.stop()
