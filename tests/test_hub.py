"""Models by an id: what is asked of a hub, and what is said where it cannot be reached."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tuneglm.checkpoints import run_within
from tuneglm.errors import HubError, ModelError
from tuneglm.hub import Hub, fetch, looks_like_id, page_of
from tuneglm.models.loading import local_folder

CLOSED = "127.0.0.1:9"
CLIENTS = {"huggingface": "huggingface_hub", "modelscope": "modelscope"}


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_ENDPOINT", f"http://{CLOSED}")
    monkeypatch.setenv("MODELSCOPE_DOMAIN", CLOSED)


@pytest.fixture(params=list(CLIENTS))
def hub(request: pytest.FixtureRequest) -> Any:
    return request.param


def answer_with(monkeypatch: pytest.MonkeyPatch, hub: Hub, folder: Path) -> list[dict[str, Any]]:
    """Let the hub's client return a folder; what it was asked for is in the list."""
    asked: list[dict[str, Any]] = []

    def snapshot_download(repo_id: str, **options: Any) -> str:
        asked.append({"repo_id": repo_id, **options})
        return str(folder)

    monkeypatch.setattr(f"{CLIENTS[hub]}.snapshot_download", snapshot_download)
    return asked


@pytest.mark.usefixtures("no_network")
def test_without_a_network_it_says_within_seconds_how_to_fetch_by_hand(hub: Hub) -> None:
    started = time.monotonic()
    with pytest.raises(HubError) as error:
        fetch("tuneglm/no-such-model", hub, ("*.json",))
    assert time.monotonic() - started < 20
    sentence = str(error.value)
    assert "does not answer" in sentence and CLOSED in sentence
    assert page_of("tuneglm/no-such-model", hub) in sentence
    assert {"huggingface": "HF_ENDPOINT", "modelscope": "MODELSCOPE_DOMAIN"}[hub] in sentence


@pytest.mark.usefixtures("no_network")
def test_what_was_fetched_before_needs_no_network(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = answer_with(monkeypatch, hub, tmp_path)
    assert fetch("owner/name", hub, ("*.json",), revision="v1") == tmp_path
    assert asked[0]["local_files_only"] is True
    assert (asked[0]["repo_id"], asked[0]["revision"]) == ("owner/name", "v1")


@pytest.mark.usefixtures("no_network")
def test_weights_are_fetched_once_and_code_never(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Pickled weights only where there are no others."""
    asked = answer_with(monkeypatch, "huggingface", tmp_path)
    local_folder("owner/name")
    assert [
        pattern for each in asked for pattern in each["allow_patterns"] if "py" in pattern
    ] == []
    assert ["*.bin" in each["allow_patterns"] for each in asked] == [False, True]
    (tmp_path / "model.safetensors").touch()
    asked.clear()
    local_folder("owner/name")
    assert len(asked) == 1


@pytest.mark.usefixtures("no_network")
def test_a_mistyped_folder_that_reads_as_an_id(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "w" / "small").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    meant = f"did you mean `{Path('w/small')}`?"
    with pytest.raises(HubError) as error:
        local_folder("w/smal")
    hint = str(error.value.hint)
    assert hint.startswith(meant) and page_of("w/smal", "huggingface") in hint
    for typed in ("./w/smal", "../w/smal", str(tmp_path / "w" / "smal")):
        with pytest.raises(ModelError, match="There is no folder") as absent:
            run_within(typed)
        assert typed in absent.value.sentence
        assert "small`?" in str(absent.value.hint) or typed.startswith("..")


@pytest.mark.usefixtures("no_network")
def test_of_several_processes_one_fetches_at_a_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Tried with threads: the lock is an open file's, not a process's."""
    at_work: list[str] = []
    seen: list[int] = []

    def snapshot_download(repo_id: str, **_: Any) -> str:
        at_work.append(repo_id)
        time.sleep(0.05)
        seen.append(at_work.count(repo_id))
        at_work.remove(repo_id)
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    names = ["owner/one"] * 4 + ["owner/two"]
    with ThreadPoolExecutor(5) as pool:
        list(pool.map(lambda name: fetch(name, "huggingface", ("*",)), names))
    assert seen == [1] * 5


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("zai-org/chatglm3-6b", True), ("./chatglm3-6b", False), ("a/b/c", False), ("models", False)],
)
def test_an_id_has_an_owner_and_a_name(text: str, wanted: bool) -> None:
    assert looks_like_id(text) is wanted
