"""`tuneglm evaluate`, as it is typed."""

import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from tests.evaluation.test_suites import write_suite
from tests.test_cli import call
from tuneglm import packages
from tuneglm.cli import command_parser
from tuneglm.config import ChatConfig
from tuneglm.demo import MODEL_FOLDER
from tuneglm.evaluate_cli import DEFAULTS
from tuneglm.evaluation.contestants import Contestant
from tuneglm.evaluation.evaluate import evaluate
from tuneglm.evaluation.wanted import DRAWING, Wanted
from tuneglm.generate import ChatModel

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run(run_folder: Path, tmp_path: Path) -> Path:
    """A copy of the run, alone in a folder of runs."""
    shutil.copytree(run_folder, tmp_path / "runs" / "out")
    return tmp_path / "runs" / "out"


def read_json(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


def figures(report: Any, title: str) -> dict[str, Any]:
    (section,) = [each for each in report["sections"] if each["title"] == title]
    return {each["measure"]: each for each in section["findings"]}


def test_with_no_option_a_run_is_evaluated_on_what_it_has(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call("evaluate", str(run.parent), "--max-new-tokens", "8", "--dtype", "float32")
    told = capsys.readouterr().out
    report = read_json(run / "evaluation" / "report.json")
    held = figures(report, "held.json")
    logged = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    trained = [each["eval_loss"] for each in logged if "eval_loss" in each][-1]
    loss = held["loss"]["figures"]["tuned"]["value"]
    assert loss == pytest.approx(trained, abs=2e-4)
    assert held["loss"]["of"] == 3 and held["loss"]["difference"] is None
    assert f"{loss:.4f}" in told and "bleu-4" in told and "held.json" in told
    asked = figures(report, "Questions")
    assert set(asked) == {"author", "sum"} and asked["author"]["of"] == 1
    page = (run / "evaluation" / "report.md").read_text(encoding="utf-8")
    assert "| loss (lower is better) | 3 |" in page and "你是谁？" in page
    assert (run / "evaluation" / "report.png").read_bytes().startswith(b"\x89PNG")
    lines = (run / "evaluation" / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(lines[0])["label"] == "我是星河。"
    assert all(list(json.loads(line)) == ["label", "predict"] for line in lines)


def test_the_base_stands_beside_it(
    run: Path, held_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["evaluate", str(run), "--data", str(held_file), "--max-new-tokens", "8"]
    call(*command)
    loaded: list[str] = []
    load = Contestant.load

    def watched(self: Contestant, wanted: Wanted) -> ChatModel:
        loaded.append(self.name)
        return load(self, wanted)

    monkeypatch.setattr(Contestant, "load", watched)
    call(*command, "--base")
    assert loaded == ["base"]  # the other one's figures are there
    told = capsys.readouterr().out
    assert "is not done again" in told and "difference" in told
    loss = figures(read_json(run / "evaluation" / "report.json"), "held.json")["loss"]
    alone = evaluate(
        Wanted(
            str(MODEL_FOLDER), data=(str(held_file),), answers=False, output=str(run.parent / "e")
        )
    )
    (finding,) = [each for each in alone.sections[0].findings if each.measure == "loss"]
    base, tuned = (loss["figures"][name]["value"] for name in ("base", "tuned"))
    assert base == pytest.approx(finding.figures["model"].value, abs=1e-5) and base > tuned
    assert loss["difference"]["value"] == pytest.approx(tuned - base)
    assert loss["difference"]["low"] < tuned - base < loss["difference"]["high"]
    assert (run / "evaluation" / "predictions_base.jsonl").is_file()
    call(*command, "--base")
    assert loaded == ["base", "model"]


def test_ctrl_c_keeps_what_is_done(
    run: Path,
    held_file: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command = ["evaluate", str(run), "--data", str(held_file), "--max-new-tokens", "8"]
    with monkeypatch.context() as stopped:
        stopped.setattr(ChatModel, "padded_answers", interrupted)
        call(*command, status=130)
    told = capsys.readouterr().err
    assert "The first 0 of 3 answers are kept" in told and "goes on from there" in told
    call(*command)
    assert "tuned · loss" not in capsys.readouterr().out  # it was done before


def test_questions_that_were_answered_are_not_asked_again(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each batch is kept; of a kind at most so many are asked, from all over the file."""
    file = tmp_path / "questions.json"
    probes = [{"question": f"{n}?", "asks": "sum", "expects": [str(n)]} for n in range(30)]
    file.write_text(json.dumps(probes), encoding="utf-8")
    asked: list[int] = []
    answer = ChatModel.padded_answers

    def stopping(self: ChatModel, prompts: Any, *others: Any) -> list[str]:
        asked.append(len(prompts))
        if len(asked) == 3:
            raise KeyboardInterrupt
        return answer(self, prompts, *others)

    monkeypatch.setattr(ChatModel, "padded_answers", stopping)
    command = ["evaluate", str(run), "--probes", str(file), "--questions", "10", "--batch", "4"]
    call(*command, status=130)
    assert "What is done is kept" in capsys.readouterr().err
    call(*command)
    assert asked == [4, 4, 2, 2]
    found = figures(read_json(run / "evaluation" / "report.json"), "Questions")
    assert found["sum"]["of"] == 10


def test_what_stops_it_says_how_it_goes_on(
    run: Path,
    held_file: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command = ["evaluate", str(run), "--data", str(held_file), "--no-answers"]
    for error, status, said in (
        (KeyboardInterrupt(), 130, "What is done is kept in"),
        (torch.OutOfMemoryError("Tried to allocate 2 GiB. More."), 2, "a smaller --batch than 16"),
    ):

        def failing(*_: Any, error: BaseException = error) -> Any:
            raise error

        monkeypatch.setattr("tuneglm.evaluation.contest.losses_of", failing)
        call(*command, status=status)
        assert said in capsys.readouterr().err


def test_the_command_draws_as_the_function_does() -> None:
    """So that what one began the other goes on with."""
    assert ChatConfig(**DEFAULTS) == DRAWING  # type: ignore[arg-type]


def test_a_missing_package_is_one_sentence(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = packages.find_spec
    monkeypatch.setattr(
        packages, "find_spec", lambda name: None if name == "jieba" else found(name)
    )
    call("evaluate", str(run), status=2)
    assert 'pip install "tuneglm[eval]"' in capsys.readouterr().err
    assert not (run / "evaluation").exists()


def interrupted(*_: Any, **__: Any) -> list[str]:
    raise KeyboardInterrupt


def test_what_it_says_of_careless_calls(
    run: Path, held_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, said in (
        ([str(tmp_path / "none")], "There is no folder"),
        ([str(MODEL_FOLDER)], "There is nothing to evaluate"),
        ([str(MODEL_FOLDER), "--data", str(held_file), "--base"], "is a model by itself"),
        ([str(run), "--data", str(tmp_path / "no.json")], "no.json"),
        ([str(run), "--probes", str(tmp_path / "no.json")], "no.json` cannot be read"),
        ([str(run), "--suite", "gaokao"], "There is no suite `gaokao`"),
        ([str(run), "--rows", "0"], "not a number of rows"),
        ([str(run), "--temperature", "-1"], "cannot be `-1.0`"),
        ([str(run), "--output", str(held_file.parent)], "is not an evaluation"),
    ):
        call("evaluate", *words, status=2)
        assert said in capsys.readouterr().err, words
    assert not (run / "evaluation").exists()
    call("evaluate", str(run), "--data", str(held_file), "--no-answers")
    call("evaluate", str(run), "--data", str(held_file), "--no-answers", "--rows", "2", status=2)
    assert "with other rows: `500`, and now `2`" in capsys.readouterr().err


def test_a_suite_is_asked_through_the_harness(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_suite(tmp_path / "data", "ceval")
    folder = str(tmp_path / "data")
    call("evaluate", str(run), "--suite", "ceval", "--dir", folder, "--shots", "1", "--base")
    found = figures(read_json(run / "evaluation" / "report.json"), "C-Eval")
    assert list(found) == ["all questions", "mean of subjects", "humanities", "law"]
    assert found["all questions"]["of"] == 3
    assert set(found["law"]["figures"]) == {"tuned", "base"}
    told = capsys.readouterr().out
    assert "not in the folder: 51 subjects" in told and "all questions" in told


def test_rows_that_a_run_kept_are_those_it_was_not_trained_on(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"instruction": f"{n} + 1 = ?", "output": f"It is {n + 1}."} for n in range(12)]
    (tmp_path / "many.json").write_text(json.dumps(rows))
    text = (run / "run.yaml").read_text(encoding="utf-8")
    tree = yaml.safe_load(text)
    tree["data"] |= {
        "train": [{"path": str(tmp_path / "many.json")}],
        "evaluation": [],
        "evaluation_rows": 4,
    }
    (run / "run.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")
    call("evaluate", str(run), "--no-answers", "--rows", "3")
    assert "3 of 4 rows" in capsys.readouterr().out
    held = figures(read_json(run / "evaluation" / "report.json"), "kept for evaluation")
    assert held["loss"]["of"] == 3


def test_the_pages_show_commands_that_can_be_typed() -> None:
    pages = [ROOT / "docs" / language / "evaluation.md" for language in ("en", "zh")]
    first, second = (
        re.findall(r"```(?:bash|python)\n(.*?)```", page.read_text("utf-8"), re.S) for page in pages
    )
    assert first == second
    lines = [line for block in first for line in block.splitlines()]
    commands = [line for line in lines if line.startswith("tuneglm evaluate ")]
    assert len(commands) == 4
    for line in commands:
        given = command_parser().parse_args(shlex.split(line)[1:])
        assert given.path in ("out", "path/to/chatglm3-6b")
