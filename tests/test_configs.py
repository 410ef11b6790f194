"""Each run file in configs/ runs, by the command in its first line."""

import json
import shlex
from pathlib import Path

import pytest
from accelerate.commands.config.config_args import load_config_from_file

from tuneglm import base_answers
from tuneglm.checkpoints import is_finished
from tuneglm.cli import main
from tuneglm.data.identity_files import asked_rows
from tuneglm.demo import MODEL_FOLDER

ROOT = Path(__file__).parents[1]
KINDS = {"ddp": "MULTI_GPU", "fsdp": "FSDP", "zero2": "DEEPSPEED", "zero3": "DEEPSPEED"}


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda p: p.stem)
def test_the_command_in_its_first_line(
    path: Path, rows_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    first = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
    filled = (
        first.replace("MODEL", str(MODEL_FOLDER))
        .replace("my.json", str(rows_file))
        .replace("OUT", str(tmp_path / "out"))
    )
    program, *arguments = shlex.split(filled)
    assert program == "tuneglm"
    assert f"configs/{path.name}" in arguments
    short = ("training.max_steps=2", "training.gradient_accumulation_steps=1")
    # a base is asked a thousand questions
    monkeypatch.setattr(base_answers, "asked_rows", lambda languages: asked_rows(languages)[::25])
    with pytest.raises(SystemExit) as left:
        main([*arguments, *short, f"data.dir={tmp_path / 'data'}"])
    assert left.value.code == 0
    assert is_finished(tmp_path / "out")


@pytest.mark.parametrize("name", KINDS)
def test_accelerate_reads_its_files(name: str) -> None:
    """Its own reader, which refuses a key that it does not know."""
    path = ROOT / "configs" / "accelerate" / f"{name}.yaml"
    first = path.read_text(encoding="utf-8").splitlines()[0]
    place = path.relative_to(ROOT)
    assert first == f"# accelerate launch --config_file {place} -m tuneglm train run.yaml"
    read = load_config_from_file(str(path))
    assert read.distributed_type == KINDS[name]
    assert "transformer_layer_cls_to_wrap" not in path.read_text(encoding="utf-8")
    if KINDS[name] == "DEEPSPEED":
        settings = json.loads((ROOT / read.deepspeed_config["deepspeed_config_file"]).read_text())
        assert settings["zero_optimization"]["stage"] == int(name[-1])
        assert settings["train_batch_size"] == "auto"


def test_all_of_accelerates_files_are_tried() -> None:
    assert {path.stem for path in (ROOT / "configs" / "accelerate").glob("*.yaml")} == set(KINDS)
