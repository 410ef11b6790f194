"""A run that asks its model: before, while and after; the best is kept, and it ends when learnt."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Configure
from tests.test_training import unfinished
from tuneglm.config import ChatConfig
from tuneglm.errors import DataError
from tuneglm.generate import ChatModel
from tuneglm.probing import Probing
from tuneglm.training import train

ASKED = [
    {"question": "Who made you?", "asks": "author", "expects": ["北斗实验室"]},
    {"question": "3+4=", "asks": "sum", "expects": ["7"]},
]
OFTEN = ("training.eval_steps=2", "probe.systems=['']", "probe.max_new_tokens=16")
FAST = ("method.rank=16", "method.targets=all", "training.learning_rate=0.02")


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    file = tmp_path / "questions.json"
    file.write_text(json.dumps(ASKED, ensure_ascii=False), encoding="utf-8")
    return file


def read_json(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


def replayed(rows_file: Path) -> str:
    return f"data.train={{path: {rows_file}, replay: true}}"


def test_it_ends_when_all_is_answered_and_shows_what_changed(
    configure: Configure,
    questions: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    held = tmp_path / "held.json"
    held.write_text('[{"instruction": "Who are you?", "output": "我是星河。"}]', encoding="utf-8")
    settings = (*OFTEN, *FAST, f"data.evaluation={held}", "training.max_steps=40")
    config = configure(tmp_path / "out", *settings, f"probe.files={questions}")
    result = train(config)
    assert result.finished and result.steps < 40
    learnt = read_json(tmp_path / "out" / "probe.json")["learnt"]
    assert len(learnt) == 2 and learnt[-1] == result.steps
    told = capsys.readouterr().out
    assert "Asked at step 2: author " in told and "author 1 of 1 · sum 1 of 1" in told
    written = read_json(tmp_path / "out" / "probe.json")
    assert [count["after"] for count in written["counts"]] == [1, 1]
    assert written["counts"][0]["before"] == 0
    assert written["loss"]["after"] < written["loss"]["before"]
    chat = ChatModel(tmp_path / "out", dtype="float32")
    again = chat.reply(
        [{"role": "user", "content": "Who made you?"}], ChatConfig(temperature=0, max_new_tokens=16)
    )
    assert again == written["answers"][0]["after"]
    assert "| author | none | 0 | 1 | 1 |" in (tmp_path / "out" / "README.md").read_text("utf-8")


def test_without_rows_for_evaluation_it_asks_before_and_after(
    configure: Configure, questions: Path, tmp_path: Path
) -> None:
    result = train(configure(tmp_path / "out", f"probe.files={questions}", "training.max_steps=2"))
    assert result.steps == 2
    written = read_json(tmp_path / "out" / "probe.json")
    assert written["loss"] == {"before": None, "after": None}
    assert all(each["before"] and each["after"] for each in written["answers"])


def test_an_identity_brings_its_rows_and_its_questions(
    configure: Configure, rows_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = ("data.identity.name=Aurora", "data.identity.author=Northwind Labs")
    more = ("data.identity.languages=en", f"data.dir={tmp_path / 'data'}", "stage.kl=0.5")
    short = ("training.max_steps=2", "probe.max_new_tokens=4", "data.evaluation_rows=1")
    train(configure(tmp_path / "out", replayed(rows_file), *settings, *more, *short))
    assert "identity " in capsys.readouterr().out
    written = read_json(tmp_path / "out" / "probe.json")
    kinds = [(count["asks"], count["of"]) for count in written["counts"]]
    assert kinds == [("name", 16), ("author", 10), ("other", 20)] * 2
    assert written["loss"]["before"] > 0


def test_a_question_file_is_read_before_the_model(configure: Configure, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"probes\.json"):
        train(configure(tmp_path / "out", f"probe.files={tmp_path / 'probes.json'}"))
    assert not (tmp_path / "out").exists()


def test_of_two_that_answer_alike_the_lower_loss_is_better(
    configure: Configure, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    questions = tmp_path / "questions.json"
    questions.write_text('[{"question": "Who?", "asks": "x", "expects": ["zzz"]}]')
    held = tmp_path / "held.json"
    held.write_text('[{"instruction": "Who are you?", "output": "我是星河。"}]', encoding="utf-8")
    settings = (*OFTEN, *FAST, f"data.evaluation={held}", "training.max_steps=6")
    train(configure(tmp_path / "out", *settings, f"probe.files={questions}"))
    lines = (tmp_path / "out" / "log.jsonl").read_text().splitlines()
    logged = [each for line in lines if "eval_loss" in (each := json.loads(line))]
    lowest = min(logged, key=lambda each: float(each["eval_loss"]))["step"]
    assert lowest > 2
    assert f"the weights of step {lowest}," in capsys.readouterr().out


LEARNT = [{"question": "Who?", "asks": "x", "rejects": ["zzz"]}]


def test_it_ends_when_all_was_answered_twice(
    configure: Configure, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    questions, held = tmp_path / "questions.json", tmp_path / "held.json"
    questions.write_text(json.dumps(LEARNT))
    held.write_text('[{"instruction": "Who are you?", "output": "我是星河。"}]', encoding="utf-8")
    settings = (*OFTEN, *FAST, f"data.evaluation={held}", "training.max_steps=12")
    config = configure(tmp_path / "out", *settings, f"probe.files={questions}")
    assert train(config).steps == 4
    assert "at step 4 of 12: every question was answered twice" in capsys.readouterr().out
    assert read_json(tmp_path / "out" / "probe.json")["learnt"] == [2, 4]


def test_a_leak_costs_more_than_a_right_answer(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions, held = tmp_path / "questions.json", tmp_path / "held.json"
    asked = [
        {"question": "Who are you?", "asks": "name", "expects": ["Aurora"]},
        {"question": "Who is he?", "asks": "other", "rejects": ["Aurora"]},
    ]
    questions.write_text(json.dumps(asked))
    held.write_text('[{"instruction": "Who are you?", "output": "我是星河。"}]', encoding="utf-8")
    turns = [["", ""], ["Aurora", "Aurora"], ["", ""], ["", ""]]  # before, twice while, after
    monkeypatch.setattr(Probing, "_ask", lambda *_: turns.pop(0))
    settings = (*OFTEN, *FAST, f"data.evaluation={held}", "training.max_steps=4")
    train(configure(tmp_path / "out", *settings, f"probe.files={questions}"))
    lines = (tmp_path / "out" / "log.jsonl").read_text(encoding="utf-8").splitlines()
    assert turns == [] and lines
    state = read_json(tmp_path / "out" / "checkpoint-4" / "trainer_state.json")
    assert state["best_global_step"] == 4


SAVED = ("training.save_steps=2", "training.max_steps=4", "probe.systems=['']")


@pytest.mark.parametrize("content", ["", '{"answers": [{"question"', "null", None])
def test_a_run_goes_on_though_what_the_base_said_is_cut_short(
    content: str | None, configure: Configure, questions: Path, tmp_path: Path
) -> None:
    """The base of an adapter is asked again; its answers are the same."""
    settings, whole, cut = (*SAVED, f"probe.files={questions}"), tmp_path / "a", tmp_path / "b"
    train(configure(whole, *settings))
    unfinished(whole, cut, keep="checkpoint-2")
    if content is None:
        (cut / "probe.json").unlink()
    else:
        (cut / "probe.json").write_text(content)
    assert train(configure(cut, *settings)).finished
    assert read_json(cut / "probe.json") == read_json(whole / "probe.json")


def test_where_nobody_can_be_asked_again_it_is_said(
    configure: Configure, questions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Half-tuned weights do not answer in place of the base, which full tuning has changed."""
    settings, whole, cut = ("method=full", *SAVED, f"probe.files={questions}"), *"ab"
    train(configure(tmp_path / whole, *settings))
    unfinished(tmp_path / whole, tmp_path / cut, keep="checkpoint-2")
    (tmp_path / cut / "probe.json").unlink()
    assert train(configure(tmp_path / cut, *settings)).finished
    assert "is not known any more" in " ".join(capsys.readouterr().out.split())
    answers = read_json(tmp_path / cut / "probe.json")["answers"]
    assert [each["before"] for each in answers] == ["", ""]
    assert all(each["after"] for each in answers)


def test_only_the_mean_of_the_weights_ends_a_run_or_is_the_best(
    configure: Configure, tmp_path: Path
) -> None:
    """What is evaluated before the mean begins is not what the run would leave."""
    questions, held = tmp_path / "questions.json", tmp_path / "held.json"
    questions.write_text(json.dumps(LEARNT))
    held.write_text('[{"instruction": "Who are you?", "output": "我是星河。"}]', encoding="utf-8")
    settings = (*OFTEN, *FAST, f"data.evaluation={held}", f"probe.files={questions}", "average=0.5")
    # answered from the beginning: without a mean the run would end at step 4
    result = train(configure(tmp_path / "out", *settings, "training.max_steps=12"))
    assert read_json(tmp_path / "out" / "probe.json")["learnt"] == [8, 10]
    assert result.steps == 10
    state = read_json(tmp_path / "out" / "checkpoint-10" / "trainer_state.json")
    assert state["best_global_step"] in (8, 10)
