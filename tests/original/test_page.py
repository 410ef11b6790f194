"""`web_demo.py`: what of `tuneglm web` is called for which model."""

import importlib.util
from pathlib import Path
from typing import Any, NoReturn

import pytest

from tests.conftest import Configure
from tests.original.old_checkpoints import BASE, write
from tuneglm.original.house import House
from tuneglm.original.talking import show_page
from tuneglm.training import train


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What the command line is given in place of doing it."""
    calls: list[list[str]] = []

    def note(words: Any) -> NoReturn:
        calls.append(list(words))
        raise SystemExit(0)

    monkeypatch.setattr("tuneglm.original.talking.main", note)
    return calls


def shown(*words: str) -> int:
    with pytest.raises(SystemExit) as left:
        show_page(words, House(str(BASE)))
    assert isinstance(left.value.code, int)
    return left.value.code


def test_a_model_and_a_run(called: list[list[str]], configure: Configure, tmp_path: Path) -> None:
    assert shown() == 0
    assert called.pop() == ["web", "--models", str(BASE)]
    out = tmp_path / "out"
    train(configure(out, "training.max_steps=1"))
    assert shown("--checkpoint_dir", str(out)) == 0
    assert called == [["web", str(out)]]


def test_what_is_not_of_tuneglm(
    called: list[list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = write(tmp_path / "old", "lora")
    assert shown("--checkpoint_dir", str(old)) == 2
    assert not called and "export_model.py" in capsys.readouterr().err


@pytest.mark.skipif(importlib.util.find_spec("tuneglm.web_cli") is None, reason="no page is here")
def test_the_command_line_takes_it() -> None:
    from tuneglm.cli import _given

    given = _given(["web", "--models", str(BASE)])
    assert given.models == [str(BASE)]
