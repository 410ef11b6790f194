"""Each run file in configs/ runs, by the command in its first line."""

import shlex
from pathlib import Path

import pytest

from tuneglm.checkpoints import is_finished
from tuneglm.cli import main
from tuneglm.demo import MODEL_FOLDER

ROOT = Path(__file__).parents[1]


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
    with pytest.raises(SystemExit) as left:
        main([*arguments, "training.max_steps=2", "training.gradient_accumulation_steps=1"])
    assert left.value.code == 0
    assert is_finished(tmp_path / "out")
