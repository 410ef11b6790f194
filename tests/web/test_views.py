"""What is shown of runs and plans, and what a plan takes when somebody goes on typing."""

import json
import sys
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.conftest import Configure
from tests.web.browsing import until
from tuneglm.config import dump_config, load_data_config
from tuneglm.demo import MODEL_FOLDER
from tuneglm.errors import ConfigError
from tuneglm.web import foresee
from tuneglm.web.background import Background
from tuneglm.web.commands import command_card
from tuneglm.web.curve import Line, drawn
from tuneglm.web.foresee import Plans
from tuneglm.web.looking import checked
from tuneglm.web.runs import Run
from tuneglm.web.verdict import plan_line, run_card
from tuneglm.web.words import Words

EN, ZH = Words("en"), Words("zh")
PLAN: dict[str, Any] = {
    "peak": 3 * 2**30,
    "available": 8 * 2**30,
    "fits": True,
    "seconds_per_step": 0.5,
    "largest_batch": 1234,
    "choices": [],
}


def curve(*lines: Line) -> str:
    return drawn(lines, step="step", evaluation="evaluation", empty="nothing yet")


def test_a_curve_goes_from_its_first_step_to_its_last() -> None:
    html = curve(Line("<one>", [(1, 4.0), (5, 2.0), (10, 1.0)], [(10, 3.0)]))
    assert 'data-points="4"' in html
    assert 'points="100.0,0.0 500.0,150.0 1000.0,225.0"' in html
    assert "&lt;one&gt;" in html and "<one>" not in html
    # a single point is seen
    assert 'points="1000.0,75.0 1000.0,75.0"' in html
    assert "<span>4</span>" in html and "<span>2</span>" in html and "<span>10</span>" in html


def test_runs_are_drawn_to_one_scale() -> None:
    html = curve(Line("a", [(10, 1.0)]), Line("missing", []), Line("b", [(100, 10.0)]))
    assert "1000.0,0.0" in html and "100.0,270.0" in html
    assert "missing" not in html
    assert "nothing yet" in curve() and "nothing yet" in curve(Line("missing", []))


def test_a_plan_is_a_line() -> None:
    assert all(word in plan_line(PLAN, EN) for word in ("Fits", "3.00 of 8.0", "0.5 s", "1,234"))
    choice = {"method": "lora", "bits": 4, "gradient_checkpointing": True, "cheapest": True}
    line = plan_line(PLAN | {"fits": False, "choices": [choice]}, ZH)
    assert "放不下" in line and "model.bits=4" in line
    assert "8" not in plan_line(PLAN | {"fits": None, "available": None, "largest_batch": None}, EN)


def test_a_run_says_how_far_it_is(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    (run.folder / "process").mkdir(parents=True)
    record = {"words": ["train", "run/run.yaml"], "process": 1}
    (run.folder / "process" / "command.json").write_text(json.dumps(record), encoding="utf-8")
    output = run.folder / "process" / "output.txt"
    output.write_text("Steps    1,000 · 4 rows each\n", encoding="utf-8")
    (run.folder / "log.jsonl").write_text('{"loss": 2, "step": 250}\n', encoding="utf-8")
    card = run_card(run, EN)
    assert all(word in card for word in ("stopped", "step 250 / 1,000", "width:25.0%", "2.0000"))
    assert "tuneglm train run/run.yaml" in card
    with output.open("a", encoding="utf-8") as file:
        file.write("Error: `<x>` is not a name.\n  hint: choose another name\n")
    card = run_card(run, ZH)
    assert "失败" in card and "不能作为名字" in card and "请换一个名字" in card
    assert "&lt;x&gt;" in card and "<x>" not in card


def test_a_command_shows_what_it_prints(tmp_path: Path) -> None:
    background = Background(tmp_path / "process")
    assert command_card(background, EN) == ""
    background.start(["data", "list", "--dir", str(tmp_path)], tmp_path)
    assert "at work" in command_card(background, EN)
    until_done(background)
    card = command_card(background, EN)
    assert "done" in card and "tuneglm data list" in card and "alpaca" in card


def until_done(background: Background) -> None:
    until(lambda: not background.is_running())


def test_a_plan_is_that_of_the_command(configure: Configure, tmp_path: Path) -> None:
    yaml, plans = dump_config(configure(tmp_path / "out")), Plans()
    (answer,) = plans.ask("one", yaml, tmp_path, 0)
    assert answer["fits"] is True and answer["method"] == "lora"
    assert answer["choices"] == [] and answer["seconds_per_step"] > 0
    assert plans.known(yaml) == answer
    # nothing of the run is made by asking
    assert not (tmp_path / "out").exists()
    with pytest.raises(ConfigError, match="colour"):
        next(plans.ask("one", "model: {path: x, colour: red}", tmp_path, 0))


# a plan that takes its time, and says when it begins
SLOW = """
import json, pathlib, sys, time
file = pathlib.Path(sys.argv[1])
(pathlib.Path.cwd() / file.read_text().strip()).touch()
time.sleep(1)
print(json.dumps({"fits": True, "of": file.read_text()}))
"""


def test_who_types_on_gets_the_newest_plan_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(foresee, "COMMAND", (sys.executable, "-c", SLOW))
    plans, answers = Plans(), dict[str, list[Any]]()

    def ask(yaml: str, patience: float) -> None:
        answers[yaml] = [*plans.ask("one", yaml, tmp_path, patience)]

    def asked(yaml: str, patience: float) -> Thread:
        thread = Thread(target=ask, args=(yaml, patience))
        thread.start()
        return thread

    # typed on before it is asked; while it is planned; and given up at last
    threads = [asked("first", 0.3), asked("second", 0)]
    until(lambda: (tmp_path / "second").exists())
    threads.append(asked("third", 0))
    until(lambda: (tmp_path / "third").exists())
    for thread in threads:
        thread.join()
    assert answers == {"first": [], "second": [], "third": [{"fits": True, "of": "third"}]}
    assert not (tmp_path / "first").exists()
    last = asked("fourth", 0)
    until(lambda: (tmp_path / "fourth").exists())
    plans.give_up("one")
    last.join()
    assert answers["fourth"] == []


@pytest.mark.parametrize("words", [EN, ZH])
def test_what_a_file_says_is_shown_and_not_obeyed(tmp_path: Path, words: Words) -> None:
    """A row is text, whatever HTML it holds."""
    path = tmp_path / "<img src=x>.json"
    row = {"instruction": "<script>alert(1)</script>", "output": "<b>answer</b>"}
    path.write_text(json.dumps([row, row, {"instruction": "", "output": "x"}]), encoding="utf-8")
    settings = [f"model.path={MODEL_FOLDER}", f"data.train=[{{path: {json.dumps(str(path))}}}]"]
    html = checked(load_data_config(None, [*settings, "data.workers=1"]), words)
    assert "<script" not in html and "<img" not in html
    assert "empty_question" in html and "duplicate" in html
