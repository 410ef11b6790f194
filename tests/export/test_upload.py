"""To a hub: what is sent, that it is private, and what is said where that cannot be."""

from pathlib import Path
from typing import Any

import pytest
from huggingface_hub.errors import LocalTokenNotFoundError

from tests.export.test_folder import run
from tuneglm import hub
from tuneglm.demo import MODEL_FOLDER


class StandIn:
    """A hub's client that keeps what it is given."""

    def __init__(self, *, is_known: bool = True, refuses: str = "") -> None:
        self.is_known, self.refuses = is_known, refuses
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def whoami(self) -> dict[str, str]:
        if not self.is_known:
            raise LocalTokenNotFoundError("Token is required.\nMore of it.")
        return {"name": "owner"}

    def create_repo(self, repo_id: str, **options: Any) -> None:
        self.calls.append(("create", {"repo_id": repo_id, **options}))

    def upload_folder(self, **options: Any) -> None:
        if self.refuses:
            raise OSError(self.refuses)
        names = sorted(path.name for path in Path(options["folder_path"]).iterdir())
        self.calls.append(("upload", {**options, "names": names}))


def send(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    client: StandIn,
    *words: object,
    answers: bool = True,
) -> tuple[int, str]:
    monkeypatch.setattr(hub, "_answers", lambda _: answers)
    monkeypatch.setattr(hub, "_uploader", lambda _: client)
    return run(capsys, MODEL_FOLDER, *words, "--no-check")


@pytest.mark.parametrize(
    ("words", "seen", "page"),
    [
        ([], {"private": True}, "https://huggingface.co/owner/name (private)"),
        (["--public"], {"private": False}, "https://huggingface.co/owner/name\n"),
        (
            ["--hub", "modelscope"],
            {"visibility": "private"},
            "https://modelscope.cn/models/owner/name (private)",
        ),
    ],
)
def test_the_whole_folder_is_sent(
    words: list[str],
    seen: dict[str, object],
    page: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    client = StandIn()
    code, said = send(
        monkeypatch, capsys, client, tmp_path / "out", "--upload", "owner/name", *words
    )
    assert (code, f"Uploaded  {page}" in said) == (0, True)
    (_, created), (_, sent) = client.calls
    assert created == {"repo_id": "owner/name", "repo_type": "model", "exist_ok": True, **seen}
    assert sent["repo_id"] == "owner/name"
    assert {"README.md", "config.json", "model.safetensors", "tokenizer.json"} <= {*sent["names"]}


@pytest.mark.parametrize(
    ("client", "name", "answers", "sentence"),
    [
        (StandIn(is_known=False), "owner/name", True, "does not know who you are: Token is"),
        (StandIn(), "name", True, "`name` is no name on a hub"),
        (StandIn(), "owner/name", False, "does not answer"),
    ],
)
def test_what_cannot_be_is_said_before_the_work(
    client: StandIn,
    name: str,
    answers: bool,
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = (tmp_path / "out", "--upload", name)
    code, said = send(monkeypatch, capsys, client, *words, answers=answers)
    assert (code, sentence in said, client.calls) == (2, True, [])
    assert not (tmp_path / "out").exists()


def test_what_a_hub_refuses_stays_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    client = StandIn(refuses="403 Forbidden")
    words = (tmp_path / "out", "--upload", "owner/name")
    code, said = send(monkeypatch, capsys, client, *words)
    assert code == 2
    assert "refused `owner/name`: 403 Forbidden" in said
    assert f"hf upload owner/name {tmp_path / 'out'}" in said
    assert (tmp_path / "out" / "model.safetensors").is_file()
