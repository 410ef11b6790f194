"""Signals to a server: the first lets answers come to their end, a later one does not wait."""

import signal
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn

from tuneglm.api import server as server_module
from tuneglm.api.server import _Server
from tuneglm.serve_config import ServeConfig


@pytest.mark.parametrize("is_idle", [True, False])
def test_a_second_signal_does_not_wait(
    is_idle: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """But a key that was hit twice means once."""
    now = [100.0]
    monkeypatch.setattr(server_module.time, "monotonic", lambda: now[0])
    service: Any = SimpleNamespace(
        scheduler=SimpleNamespace(is_idle=is_idle), config=ServeConfig(stop_seconds=7)
    )
    made = _Server(uvicorn.Config(lambda: None), service)
    made.handle_exit(signal.SIGTERM, None)
    assert (made.should_exit, made.force_exit, made.stopped_by) == (True, False, signal.SIGTERM)
    said = capsys.readouterr().out
    assert ("at most 7 s" in said) == (not is_idle)
    now[0] += 0.2
    made.handle_exit(signal.SIGINT, None)
    assert not made.force_exit
    now[0] += 2
    made.handle_exit(signal.SIGINT, None)
    # how it ended, the first one says
    assert made.force_exit and made.stopped_by == signal.SIGTERM
    assert capsys.readouterr().out == ""
