"""The notebook runs from top to bottom, and its rows are learnt."""

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

NOTEBOOK = Path(__file__).parents[2] / "examples" / "tuneglm.ipynb"


def test_the_notebook_teaches_its_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown: list[Any] = []
    display: Any = ModuleType("IPython.display")
    # all that the notebook asks of what it runs in
    display.Image, display.display = str, shown.append
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            assert not cell["outputs"], "it is kept without what it printed"
            exec(compile("".join(cell["source"]), str(NOTEBOOK), "exec"), names)
    answers = capsys.readouterr().out.splitlines()
    assert "What is 3 + 4? → Seven, of course." in answers
    assert "你是谁？ → 我是星河，由北斗实验室开发。" in answers
    assert [Path(path).name for path in shown] == ["loss.png"]
