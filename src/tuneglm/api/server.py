"""Listen, say where, and stop when asked to: running answers come to their end."""

import contextlib
import json
import logging
import signal
import socket
import sys
import time
from collections.abc import Generator
from types import FrameType

import uvicorn

from tuneglm.api.app import app_of
from tuneglm.api.service import Service
from tuneglm.errors import ConfigError
from tuneglm.serve_config import ServeConfig

SIGNALLED = 128
SECONDS_OF_ONE_PRESS = 1.0
# connections that wait to be taken
BACKLOG = 1024


def serve(service: Service, listening: socket.socket) -> int:
    """Answer at a socket until a signal comes; the exit code."""
    config = service.config
    host, port = listening.getsockname()[:2]
    server = _Server(
        uvicorn.Config(
            app_of(service),
            log_level=logging.CRITICAL,
            access_log=False,
            timeout_graceful_shutdown=config.stop_seconds,
            server_header=False,
        ),
        service,
    )
    listening.listen(BACKLOG)
    print(_greeting(service, f"[{host}]" if ":" in host else host, port), flush=True)
    server.run(sockets=[listening])
    # a second signal leaves it at work, and Python's end would come in between
    service.scheduler.stop()
    if server.stopped_by is None:
        print("Error: the server could not start.", file=sys.stderr)
        return 1
    print("Stopped.", flush=True)
    return 0 if server.stopped_by == signal.SIGINT else SIGNALLED + server.stopped_by


class _Server(uvicorn.Server):  # type: ignore[misc]
    """One whose end is an ordinary one; a second signal does not wait for answers."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self.stopped_by: int | None = None
        self._asked_at = 0.0
        self._service = service

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        kinds = (signal.SIGINT, signal.SIGTERM)
        before = {kind: signal.signal(kind, self.handle_exit) for kind in kinds}
        try:
            yield
        finally:
            for kind, handler in before.items():
                signal.signal(kind, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.stopped_by is not None:
            # a key that was hit twice means once
            self.force_exit = now - self._asked_at > SECONDS_OF_ONE_PRESS
            return
        self.stopped_by, self._asked_at = sig, now
        self.should_exit = True
        if not self._service.scheduler.is_idle:
            limit = self._service.config.stop_seconds
            print(
                f"\nRunning answers are finished first, at most {limit} s; Ctrl-C again does not "
                "wait.",
                flush=True,
            )


def bound(config: ServeConfig) -> socket.socket:
    """The socket to listen at; raises ConfigError for a port that is taken."""
    kind = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    listening = socket.socket(kind)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((config.host, config.port))
    except OSError as error:
        listening.close()
        raise ConfigError(
            f"Cannot listen at `{config.host}:{config.port}`: {error.strerror or error}.",
            f"take another port (--port {config.port + 1}) or address (--host)",
        ) from None
    return listening


def _greeting(service: Service, host: str, port: int) -> str:
    names = list(service.served.names)
    url = f"http://{host}:{port}/v1"
    key = " -H 'Authorization: Bearer KEY'" if service.keys else ""
    said = [{"role": "user", "content": "你是谁？"}]
    asked = json.dumps({"model": names[0], "messages": said}, ensure_ascii=False)
    return (
        f"Serving {', '.join(names)} at {url}: {service.room}. Ctrl-C stops.\n"
        f"Try it:  curl {url}/chat/completions{key} -H 'Content-Type: application/json' "
        f"-d '{asked}'"
    )
