"""`tuneglm serve` as people start it: benchmarks/serve_load.py in short, its end, mistakes."""

import os
import signal
import socket
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

import tuneglm
from benchmarks.serve_load import NEVER_ENDS, abuse, at_once, crowd, never_end, server
from tests.conftest import Configure
from tuneglm.cli import main
from tuneglm.demo import MODEL_FOLDER

SMALL = ("--device", "cpu", "--dtype", "float32", "--slots", "8")


def test_load_and_abuse() -> None:
    never_end(str(MODEL_FOLDER))
    with server(str(MODEL_FOLDER), *SMALL) as (url, process):
        assert at_once(url, "model", tokens=16, rounds=1)["times"] > 1.5
        found = crowd(url, process, "model", clients=12, seconds=2)
        assert found["lost"] == 0 and found["answered"] >= 12
        refused = abuse(url, process, "model", 100)
        assert refused["not refused"] == [] and refused["alive"]
        assert refused["grown, MiB"] < 32


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_running_answer_comes_to_its_end(number: signal.Signals) -> None:
    """And nobody else is let in."""
    never_end(str(MODEL_FOLDER))
    with server(str(MODEL_FOLDER), *SMALL) as (url, process):
        client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
        said: Any = [{"role": "user", "content": "hello"}]
        options: Any = {"model": "model", "max_tokens": 100, "logit_bias": NEVER_ENDS}
        stream = iter(client.chat.completions.create(messages=said, stream=True, **options))
        next(stream)
        os.kill(process, number)
        pieces = list(stream)
        assert pieces[-1].choices[0].finish_reason == "length"
        with pytest.raises(httpx.HTTPError):
            for _ in range(100):
                httpx.get(f"{url}/health")
        # the server waits for its end: what comes back is how it ended
        _, status = os.waitpid(process, 0)
        assert os.waitstatus_to_exitcode(status) == (143 if number == signal.SIGTERM else 0)


def test_running_answers_have_only_so_long() -> None:
    """What is not written by then has no end, and the one who waits is told."""
    never_end(str(MODEL_FOLDER))
    with server(str(MODEL_FOLDER), *SMALL, "--stop-seconds", "0") as (url, process):
        client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
        said: Any = [{"role": "user", "content": "hello"}]
        options: Any = {"model": "model", "max_tokens": 450, "n": 8, "logit_bias": NEVER_ENDS}
        stream = iter(client.chat.completions.create(messages=said, stream=True, **options))
        next(stream)
        os.kill(process, signal.SIGTERM)
        with pytest.raises((openai.APIError, httpx.HTTPError)):
            list(stream)
        _, status = os.waitpid(process, 0)
        assert os.waitstatus_to_exitcode(status) == 143


def test_a_folder_of_runs_is_enough(configure: Configure, tmp_path: Path) -> None:
    """As `tuneglm serve demo_output` is: the run that is in it, by its name."""
    tuneglm.train(configure(tmp_path / "star", "method=lora", "training.max_steps=1"))
    with server(str(tmp_path), *SMALL) as (url, _):
        names = [model["id"] for model in httpx.get(f"{url}/v1/models").json()["data"]]
        assert names == ["star", "base"]


def test_careless_calls(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each gets one sentence, before a model is loaded for nothing."""
    monkeypatch.delenv("TUNEGLM_API_KEY", raising=False)
    (tmp_path / "keys").touch()

    def said(*words: str) -> str:
        with pytest.raises(SystemExit) as left:
            main(["serve", *words])
        assert left.value.code == 2
        return capsys.readouterr().err

    model = str(MODEL_FOLDER)
    assert "no key is set" in said(model, "--host", "0.0.0.0")
    assert "holds no key" in said(model, "--key-file", str(tmp_path / "keys"))
    assert "Cannot read the keys" in said(model, "--key-file", str(tmp_path / "none"))
    assert "There is no folder" in said(str(tmp_path / "none"))
    assert "gives no adapter a name" in said(model, "--adapter", str(tmp_path))
    assert "holds no adapter" in said(model, "--adapter", f"x={tmp_path}")
    assert "`--port 99999`" in said(model, "--port", "99999")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert "Cannot listen" in said(model, "--port", port, *SMALL)
