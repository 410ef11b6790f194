"""`tuneglm web`, as it is typed, and as it should not be."""

import socket
from pathlib import Path
from typing import Any

import pytest

from tuneglm import packages
from tuneglm.cli import main


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """A command → (what the page would be, what is said on stderr); nothing is served."""
    served: list[Any] = []

    def serve(site: Any, users: Any, chosen: str, bound: socket.socket) -> None:
        bound.close()
        served.append((site, users, chosen))

    monkeypatch.delenv("TUNEGLM_WEB_PASSWORD", raising=False)
    monkeypatch.setattr("tuneglm.web.server.serve", serve)

    def called(*words: object, status: int = 0) -> Any:
        with pytest.raises(SystemExit) as left:
            main(["web", *map(str, words)])
        error = capsys.readouterr().err
        assert left.value.code == status, error
        return (served.pop() if served else None), error

    return called


def test_one_word_is_enough(said: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (site, users, chosen), _ = said()
    assert site.work.root == tmp_path / "tuneglm_runs"
    assert site.is_open and users == {} and chosen == ""
    assert [*site.models] == ["demo"]
    (site, _, _), _ = said("demo_output")
    assert site.work.root == tmp_path / "demo_output"


def test_a_run_is_the_first_that_answers(said: Any, tmp_path: Path) -> None:
    (tmp_path / "runs" / "星河").mkdir(parents=True)
    (tmp_path / "runs" / "星河" / "run.yaml").write_text("model: {path: x}", encoding="utf-8")
    (site, _, chosen), _ = said(tmp_path / "runs" / "星河")
    assert (site.work.root, chosen) == (tmp_path / "runs", "星河")


def test_a_password_closes_the_door(
    said: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "users.txt"
    file.write_text("one:secret\n", encoding="utf-8")
    (site, users, _), _ = said(tmp_path / "runs", "--host", "0.0.0.0", "--user-file", file)
    assert not site.is_open and users == {"one": "secret"}
    monkeypatch.setenv("TUNEGLM_WEB_PASSWORD", "word")
    (site, users, _), _ = said(tmp_path / "runs")
    assert not site.is_open and users == {"owner": "word"}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--host", "0.0.0.0"], "there is no password"),
        (["file.txt"], "is a file"),
        (["--user-file", "none.txt"], "cannot be read"),
        (["--models", "none"], "is no model"),
        (["--max-upload", "0"], "not a number of megabytes"),
        (["--runs", "many"], "not a number of runs"),
        (["--port", "99999"], "Cannot listen"),
        (["--host", "no.such.host.example"], "there is no password"),
        (["file.txt/inside"], "Cannot make the folder"),
    ],
)
def test_each_mistake_is_one_sentence(
    said: Any,
    words: list[str],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file.txt").write_text("", encoding="utf-8")
    served, error = said(*words, status=2)
    assert served is None
    assert sentence in error and error.startswith("Error: ")
    assert "Traceback" not in error


def test_without_gradio_it_says_what_to_install(said: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    real = packages.find_spec
    monkeypatch.setattr(
        packages, "find_spec", lambda name: None if name == "gradio" else real(name)
    )
    _, error = said(status=2)
    assert 'pip install "tuneglm[web]"' in error
