"""What a hurried person types: exit code 2, one clear sentence, no traceback, nothing lost."""

import json
import shutil
from pathlib import Path

import pytest

from tuneglm.cli import main
from tuneglm.demo import MODEL_FOLDER

GOOD = '[{"instruction": "a", "input": "", "output": "b"}]'


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a call that must fail prints on stderr."""
    with pytest.raises(SystemExit) as left:
        main(list(arguments))
    printed = capsys.readouterr().err
    assert left.value.code == 2, printed
    assert printed.startswith("Error: ") or "\nError: " in printed
    assert "Traceback" not in printed
    return printed[printed.index("Error: ") :]


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.json"
    path.write_text(GOOD)
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return Path(shutil.copytree(MODEL_FOLDER, tmp_path / "model"))


@pytest.mark.parametrize(
    ("arguments", "sentence", "hint"),
    [
        (["trian"], "no command `trian`", "did you mean `train`?"),
        (["data", "shwo"], "no command `shwo`", "did you mean `show`?"),
        (["train"], "nothing to do", "training.output_dir=OUT"),
        (["train", "nowhere.yaml"], "no run file `nowhere.yaml`", "overrides"),
        (["train", "cutoff=12"], "no option `cutoff`", "did you mean `data.cutoff`?"),
        (["train", "data.train=[a.json"], "`data.train` is not readable", "as many `]`"),
        (["train", "modle.path=x"], "no option `modle`", "did you mean `model`?"),
        (["train", "model.path=x", "method.rnak=4"], "`method.rnak`", "`method.rank`?"),
        (
            ["train", "model.path=x", "training.learning_rat=1"],
            "`training.learning_rat`",
            "`training.learning_rate`?",
        ),
        (["train", "model.path=x", "method.name=lroa"], "no method `lroa`", "'lora'"),
        (["train", "model.path=x", "method.rank=many"], "`method.rank` cannot be `many`", ""),
        (["train", "data.train=a.json"], "`model` is missing", "model.path=FOLDER"),
        (["chat", "no/such/folder"], "no folder `no/such/folder`", "folder"),
        (["train", "."], "`.` is a folder, not a run file", "model.path=FOLDER"),
        (["train", str(MODEL_FOLDER)], "is a folder", f"model.path={MODEL_FOLDER}"),
        (["chat", "m", "--temperature", "-1"], "`temperature` cannot be `-1.0`", "0"),
        (["chat", "m", "--max-new-tokens", "0"], "`max_new_tokens` cannot be `0`", "1"),
        (["chat", "m", "--top-p", "2"], "`top_p` cannot be `2.0`", "1"),
        (["chat", "m", "--repetition-penalty", "0"], "`repetition_penalty` cannot be `0.0`", "0"),
        (["chat", str(MODEL_FOLDER), "--device", "gpu"], "no device `gpu`", "cpu"),
        (["chat", str(MODEL_FOLDER), "--dtype", "int3"], "no dtype `int3`", "float32"),
        (["data", "show", "model.path=m", "--rows", "0"], "`0` is not a number of rows", ""),
        (["data", "show", "model.path=m", "--rows", "-1"], "`-1` is not a number of rows", ""),
    ],
)
def test_words_that_are_not_known(
    capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str, hint: str
) -> None:
    printed = said(capsys, *arguments)
    assert sentence in printed
    assert hint.replace("'", "") in printed.replace("'", "")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b"[]", "no rows"),
        (GOOD.encode()[:-9], "good.json"),
        (b"[{'instruction': 'a'}]", "good.json"),
        (b'[{"instruction": "a"}]', "`output`"),
        (b'["a"]', "expected an object"),
        (b'[{"instruction": "a", "output": ""}]', "output"),
        (b'[{"instruction": "\x81\xff\xfe", "output": "a"}]', "UTF-8"),
    ],
)
def test_data_that_is_missing_broken_or_mis_encoded(
    capsys: pytest.CaptureFixture[str], good: Path, content: bytes, sentence: str, tmp_path: Path
) -> None:
    good.write_bytes(content)
    printed = said(
        capsys,
        "train",
        f"model.path={MODEL_FOLDER}",
        f"data.train={good}",
        f"training.output_dir={tmp_path / 'out'}",
    )
    assert sentence in printed
    assert not (tmp_path / "out").exists()


def test_a_data_file_or_a_set_that_is_not_there(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    call = ["train", f"model.path={MODEL_FOLDER}", f"training.output_dir={tmp_path / 'out'}"]
    assert "nowhere.json" in said(capsys, *call, "data.train=nowhere.json")
    assert "did you mean `self_cognition`?" in said(capsys, *call, "data.train=self_cogniton")


@pytest.mark.parametrize(("name", "content"), [("my.json", GOOD), ("my.jsonl", GOOD[1:-1])])
def test_a_data_file_in_the_place_of_a_run_file(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str, content: str
) -> None:
    path = tmp_path / name
    path.write_text(content)
    assert f"hint: give data so: data.train={path}" in said(capsys, "train", str(path))
    # what looks at data takes it so, and lacks the model
    assert "hint: say which model" in said(capsys, "data", "show", str(path))


def test_folders_that_hold_no_whole_model(
    capsys: pytest.CaptureFixture[str], model: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    assert "config.json" in said(capsys, "chat", str(tmp_path / "empty"))
    assert "no family `chatgml3`" in said(capsys, "chat", str(model), "--family", "chatgml3")
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "hidden_size": 128}))
    assert "the shape" in said(capsys, "chat", str(model))
    (model / "config.json").write_text(json.dumps(config))
    weights = (model / "model.safetensors").read_bytes()
    (model / "model.safetensors").write_bytes(weights[:100_000])
    assert "model.safetensors" in said(capsys, "chat", str(model))
    (model / "model.safetensors").unlink()
    assert "holds no weights" in said(capsys, "chat", str(model))
    # before rows are looked for, of which there may be many
    unread = ("data.train=nowhere.json", f"training.output_dir={tmp_path / 'out'}")
    assert "holds no weights" in said(capsys, "train", f"model.path={model}", *unread)
    (model / "config.json").write_text("{")
    assert "not readable JSON" in said(capsys, "chat", str(model))


def test_targets_that_the_model_has_not(
    capsys: pytest.CaptureFixture[str], good: Path, tmp_path: Path
) -> None:
    printed = said(
        capsys,
        "train",
        f"model.path={MODEL_FOLDER}",
        f"data.train={good}",
        f"training.output_dir={tmp_path / 'out'}",
        "method.targets=[q_porj]",
    )
    assert "no linear layer named `q_porj`" in printed
    assert "did you mean `q_proj`?" in printed
    assert not (tmp_path / "out").exists()


def test_an_adapter_that_is_broken(
    capsys: pytest.CaptureFixture[str], good: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    settings = [f"model.path={MODEL_FOLDER}", f"data.train={good}", "training.max_steps=1"]
    with pytest.raises(SystemExit) as left:
        main(["train", *settings, f"training.output_dir={out}"])
    assert left.value.code == 0
    weights = out / "adapter_model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    assert "adapter_model.safetensors" in said(capsys, "chat", str(out))
    weights.unlink()
    assert "has no weights" in said(capsys, "chat", str(out))
    weights.write_bytes(whole)
    config = json.loads((out / "adapter_config.json").read_text())
    moved = {**config, "base_model_name_or_path": str(tmp_path / "moved")}
    (out / "adapter_config.json").write_text(json.dumps(moved))
    assert "not there any more" in said(capsys, "chat", str(out))


def test_a_folder_that_holds_something_else(
    capsys: pytest.CaptureFixture[str], good: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    printed = said(
        capsys,
        "train",
        f"model.path={MODEL_FOLDER}",
        f"data.train={good}",
        f"training.output_dir={tmp_path / 'mine'}",
    )
    assert "not empty" in printed
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]
