"""A server in a thread of its own, as `tuneglm serve` starts it, for the time of a test."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import openai
import uvicorn

from tuneglm.api.app import app_of
from tuneglm.api.served import Served, load_served
from tuneglm.api.service import Service
from tuneglm.serve_config import ServeConfig

KEY = "a-key"


@dataclass
class Running:
    """Where a server listens, and what it is over."""

    service: Service
    url: str

    def client(self, key: str = "none", **options: Any) -> openai.OpenAI:
        """The official client, without trying again."""
        chosen = {"max_retries": 0, "timeout": 60, **options}
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=key, **chosen)


def load(path: Any, adapters: dict[str, str] | None = None, **settings: Any) -> Served:
    config = ServeConfig(**settings)
    return load_served(str(path), config, adapters or {}, dtype="float32", device="cpu")


@contextmanager
def serving(served: Served, **settings: Any) -> Iterator[Running]:
    service = Service(served, ServeConfig(**settings))
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app_of(service), log_level="critical", timeout_graceful_shutdown=5)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield Running(service, f"http://127.0.0.1:{listening.getsockname()[1]}")
    finally:
        server.should_exit = True
        thread.join()


def wait_until(holds: Any, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.01)
