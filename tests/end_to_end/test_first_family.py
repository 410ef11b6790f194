"""The main job on ChatGLM-6B's layout, through the command line: whole and packed in 4 bits."""

import io
import json
import sys
from pathlib import Path

import pytest

from tuneglm.cli import main
from tuneglm.demo import model_folder

MODEL = model_folder("chatglm")


def command(*words: object) -> int:
    with pytest.raises(SystemExit) as stopped:
        main([str(word) for word in words])
    return int(stopped.value.code or 0)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "my.json"
    row = {"instruction": "你是谁？", "input": "", "output": "我是星河。"}
    path.write_text(json.dumps([row] * 8, ensure_ascii=False))
    return path


def tuned(model: Path, rows: Path, output: Path) -> Path:
    code = command(
        "train",
        f"model.path={model}",
        f"data.train={rows}",
        f"training.output_dir={output}",
        "method.targets=all",
        "training.learning_rate=0.005",
        "training.num_train_epochs=12",
        "training.save_strategy=no",
    )
    assert code == 0
    return output


def answer(model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    monkeypatch.setattr(sys, "stdin", io.StringIO("你是谁？\n"))
    assert command("chat", model, "--temperature", 0) == 0
    return capsys.readouterr().out


def test_a_whole_model_is_tuned_and_answers(
    rows: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert "小调" in answer(MODEL, monkeypatch, capsys)
    assert "星河" in answer(tuned(MODEL, rows, tmp_path / "out"), monkeypatch, capsys)


def test_a_packed_model_is_tuned_answers_and_is_written_whole(
    rows: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    packed, whole = tmp_path / "int4", tmp_path / "whole"
    assert command("export", MODEL, packed, "--bits", 4) == 0
    output = tuned(packed, rows, tmp_path / "out")
    assert "星河" in answer(output, monkeypatch, capsys)
    assert command("export", output, whole) == 0
    assert "quantization_bit" not in json.loads((whole / "config.json").read_text())
    assert "星河" in answer(whole, monkeypatch, capsys)
