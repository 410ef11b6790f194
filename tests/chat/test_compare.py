"""Two beside each other: results, or what was tuned and what it was made of."""

import io
import json
import sys
from pathlib import Path

import pytest

import tuneglm
from tests.conftest import Configure
from tuneglm.chat.voices import Asked, voices_of
from tuneglm.cli import main
from tuneglm.demo import MODEL_FOLDER
from tuneglm.errors import ConfigError, ModelError

QUESTION = "你是谁？"
WORDS = ("--temperature", "0", "--max-new-tokens", "12", "--device", "cpu", "--dtype", "float32")
GREEDY = tuneglm.ChatConfig(temperature=0, max_new_tokens=12)
OPTIONS = {"device": "cpu", "dtype": "float32"}
METHODS = {
    "lora": ("method=lora", "method.targets=all", "training.learning_rate=0.01"),
    "freeze": ("method=freeze", "training.learning_rate=0.01"),
    "full": ("method=full", "training.learning_rate=0.001"),
}


@pytest.fixture(scope="module")
def results(configure: Configure, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("results")
    return {
        name: tuneglm.train(configure(folder / name, *settings)).folder
        for name, settings in METHODS.items()
    }


def alone(path: Path) -> str:
    model = tuneglm.ChatModel(path, dtype="float32", device="cpu")
    return model.reply([{"role": "user", "content": QUESTION}], GREEDY)


def said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: object
) -> list[str]:
    capsys.readouterr()
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{QUESTION}\n"))
    with pytest.raises(SystemExit):
        main(["chat", *map(str, words), *WORDS])
    printed = capsys.readouterr()
    return (printed.out or printed.err).splitlines()


@pytest.mark.parametrize("method", list(METHODS))
def test_the_base_beside_what_was_made_of_it(
    method: str,
    results: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tuned, base = alone(results[method]), alone(MODEL_FOLDER)
    assert tuned != base
    lines = said(monkeypatch, capsys, results[method], "--compare", "base")
    assert [line.partition(": ")[2] for line in lines] == [base, tuned]
    assert lines[1].startswith(f"{method}: ")


def test_lora_and_its_base_share_one_model(results: dict[str, Path]) -> None:
    for method, count in (("lora", 1), ("freeze", 2)):
        voices = voices_of(Asked([str(results[method])], compare="base", options=OPTIONS))
        assert len({id(voice.model) for voice in voices}) == count


def test_a_file_of_questions_is_answered_by_both(
    results: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "q.txt"
    file.write_text(QUESTION, encoding="utf-8")
    said(monkeypatch, capsys, results["lora"], "--compare", "base", "--prompt-file", file)
    row = json.loads((tmp_path / "q-answers.jsonl").read_text("utf-8"))
    assert row["answer"] == {"base": alone(MODEL_FOLDER), "lora": alone(results["lora"])}


def test_two_results(
    results: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = said(monkeypatch, capsys, results["lora"], results["full"])
    assert lines == [f"lora: {alone(results['lora'])}", f"full: {alone(results['full'])}"]


def test_an_adapter_that_is_named_beside_the_base(
    results: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    adapter = f"mine={results['lora']}"
    lines = said(monkeypatch, capsys, MODEL_FOLDER, "--adapter", adapter, "--compare", "base")
    assert lines == [f"base: {alone(MODEL_FOLDER)}", f"mine: {alone(results['lora'])}"]


def test_a_folder_of_one_run_is_that_run(
    results: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "lora").symlink_to(results["lora"])
    assert said(monkeypatch, capsys, tmp_path) == [alone(results["lora"])]


def test_what_does_not_go_together(results: dict[str, Path]) -> None:
    path = str(results["lora"])
    with pytest.raises(ConfigError, match="`--compare` goes with one model, and 2 are named"):
        voices_of(Asked([path, path], compare="base"))
    with pytest.raises(ConfigError, match="is named twice"):
        voices_of(Asked([path, path]))
    with pytest.raises(ModelError, match="nothing in it says what it was made of"):
        voices_of(Asked([str(MODEL_FOLDER)], compare="base"))
