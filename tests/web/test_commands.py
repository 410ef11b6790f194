"""The commands that the page runs on results are those that somebody types in the workplace."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tuneglm.errors import ModelError
from tuneglm.web.background import Background
from tuneglm.web.files import Workplace
from tuneglm.web.foresee import Plans
from tuneglm.web.paths import folder_shown, shown, typed
from tuneglm.web.record import Page
from tuneglm.web.site import Site, named_models
from tuneglm.web.tab_chat import SAMPLING, ChatActs
from tuneglm.web.tab_data import DataActs
from tuneglm.web.tab_evaluate import EvaluateActs
from tuneglm.web.tab_export import ExportActs
from tuneglm.web.talk import Models
from tuneglm.web.words import Words

ASKED: Any = SimpleNamespace(username=None, session_hash="one")


@pytest.fixture
def page(tmp_path: Path) -> Page:
    """A workplace with an export and an upload; a suite lies in the folder of data."""
    work = Workplace(tmp_path / "work")
    work.export("whole").mkdir(parents=True)
    (work.export("whole") / "config.json").write_text("{}", encoding="utf-8")
    (work.root / "uploads").mkdir()
    row = '[{"instruction": "who?", "output": "me"}]'
    (work.root / "uploads" / "my rows.json").write_text(row, encoding="utf-8")
    (tmp_path / "sets" / "ceval").mkdir(parents=True)
    site = Site(work, True, named_models([]), tmp_path / "sets")
    return Page(site, Words("en"), Models(), Plans())


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    words: list[Any] = []

    def start(_: Background, given: Sequence[str], directory: Path) -> None:
        words.append((list(given), directory))

    monkeypatch.setattr(Background, "start", start)
    return words


@pytest.mark.parametrize(
    ("data", "matter", "folder"),
    [
        ("", [], "evaluation"),
        ("my rows.json", ["--data", "uploads/my rows.json"], "evaluation-my-rows.json-404f679d"),
        ("alpaca_zh", ["--data", "alpaca_zh", "--dir", "../sets"], "evaluation-alpaca_zh"),
        ("ceval", ["--suite", "ceval=../sets/ceval"], "evaluation-ceval"),
    ],
)
def test_an_evaluation_is_typed_so(
    page: Page, started: list[Any], data: str, matter: list[str], folder: str
) -> None:
    acts = EvaluateActs(page)
    assert acts.start("exports/whole", data, True, ASKED) == ""
    words, directory = started.pop()
    output = ["--output", f"exports/whole/{folder}", "--language", "en"]
    assert words == ["evaluate", "exports/whole", *matter, "--base", *output]
    assert directory == page.site.work.root
    # the report of that choice, and of no other, is shown
    report = directory / "exports" / "whole" / folder / "report.md"
    report.parent.mkdir()
    report.write_text(f"# Of `{directory}/exports/whole`\n![plot](report.png)\n", "utf-8")
    _, text, chart, seen = acts.look("exports/whole", data, "", ASKED)
    assert text == "# Of `exports/whole`\n\n" and chart == ""
    assert "Of" not in acts.look("exports/whole", "another", "", ASKED)[1]
    # what has not changed is not sent again
    assert acts.look("exports/whole", data, seen, ASKED)[1] != text


def test_what_there_is_to_evaluate_on(page: Page) -> None:
    result, data = EvaluateActs(page).refresh("", "", ASKED)
    assert result.choices == [("exports/whole", "exports/whole")]
    values = [value for _, value in data.choices]
    assert {"", "my rows.json", "ceval"} <= {*values} and "mmlu" not in values


@pytest.mark.parametrize("result", ["", "demo", "/etc", "../whole", "exports/none"])
def test_what_is_no_result_is_not_evaluated(page: Page, started: list[Any], result: str) -> None:
    assert "refusal" in EvaluateActs(page).start(result, "", False, ASKED)
    assert "refusal" in EvaluateActs(page).start("exports/whole", "../secret.json", False, ASKED)
    assert started == []


def test_an_export_is_typed_so(page: Page, started: list[Any]) -> None:
    acts = ExportActs(page)
    assert acts.free_name("exports/whole", ASKED) == "whole-whole"
    assert acts.free_name("", ASKED) == ""
    assert acts.start(ASKED, "exports/whole", "new", True, "native", "", "float16", "--x") == ""
    words, _ = started.pop()
    options = ["--layout", "native", "--dtype", "float16", "--adapter-only"]
    assert words == ["export", "exports/whole", "exports/new", *options]
    assert "already" in acts.start(ASKED, "exports/whole", "whole", False, "", "", "", "")
    assert started == []
    assert "tuneglm chat exports/whole" in acts.look("", ASKED)[1]
    page.site.work.export("whole-whole").mkdir()
    (page.site.work.export("whole-whole") / "a.gguf").touch()
    assert acts.free_name("exports/whole", ASKED) == "whole-whole-2"


def test_looking_at_data_and_a_conversation_are_typed_so(page: Page) -> None:
    _, found = DataActs(page).check(["my rows.json"], "", ASKED)
    assert "tuneglm data check &#x27;uploads/my rows.json&#x27;</code>" in found
    drawn = [field.shown for field in SAMPLING]
    acts = ChatActs(page)
    assert "tuneglm chat exports/whole</code>" in acts.typed("exports/whole", False, ASKED, *drawn)
    place = next(i for i, field in enumerate(SAMPLING) if field.key == "chat.temperature")
    drawn[place] = "0.3"
    said = acts.typed("exports/whole", True, ASKED, *drawn)
    assert "tuneglm chat exports/whole --compare base --temperature 0.3</code>" in said


def test_paths_are_those_of_the_workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "home" / "work"
    root.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    assert typed(root / "run-1", root) == "run-1"
    assert typed(root.parent / "sets", root) == "../sets"
    assert typed("/elsewhere/model", root) == "/elsewhere/model"
    assert typed("OWNER/NAME", root) == "OWNER/NAME"
    text = f"in `{root}/run-1` beside {root.parent}/x and /other{root}/y"
    assert shown(text, root) == f"in `run-1` beside ../x and /other{root}/y"
    assert shown(text, root / "users" / "one") == text.replace(f"{tmp_path}/home", "~").replace(
        "/other~", f"/other{tmp_path}/home"
    )
    assert folder_shown(root) == "home/work"
    monkeypatch.chdir("/")
    assert folder_shown(root) == "~/work"
    assert folder_shown(Path("/elsewhere")) == "/elsewhere"


def test_an_error_names_no_folder_of_the_machine(page: Page) -> None:
    work = page.site.work
    error = ModelError(f"`{work.root}/x` is none.", f"look at {work.root}/y")
    html = page.refusal(error, work)
    assert "<code>x</code>" in html and "look at y" in html and str(work.root) not in html
