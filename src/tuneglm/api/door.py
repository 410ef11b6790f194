"""What every request passes: who may come in, and the line that the log has of it."""

import logging
import time
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tuneglm.api.refusals import Refusal
from tuneglm.serve_config import LOCAL

if TYPE_CHECKING:
    from tuneglm.api.service import Service

# what a watcher may ask without a key
OPEN = ("/health",)

log = logging.getLogger(__name__)


class Door:
    """Around the application; a stream goes through it piece by piece."""

    def __init__(self, app: ASGIApp, service: "Service") -> None:
        self._app, self._service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.monotonic(), 0

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        request = Request(scope, receive)
        try:
            refusal = self._refusal(request)
            if refusal is None:
                await self._app(scope, receive, noted)
            else:
                answer = JSONResponse(refusal.body, refusal.status, refusal.headers)
                await answer(scope, receive, noted)
        finally:
            self._note(scope, status, time.monotonic() - began)

    def _refusal(self, request: Request) -> Refusal | None:
        if request.url.path in OPEN:
            return None
        service = self._service
        try:
            service.keys.refuse_wrong(request.headers.get("authorization", ""))
            if not service.keys:
                _refuse_other_host(request.headers.get("host", ""))
            if request.method == "POST":
                service.rates.begin(service.caller(request))
        except Refusal as refusal:
            return refusal
        return None

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        # a path that no route knows is whatever somebody wrote
        route: Any = scope.get("route")
        path = getattr(route, "path", "unknown")
        self._service.metrics.request(path, status, seconds)
        if path not in ("/health", "/metrics"):
            told = scope.get("state", {}).get("told", "")
            log.info("%s %s %d %.2f s%s", scope["method"], path, status, seconds, told)


def _refuse_other_host(host: str) -> None:
    """Without keys only this machine is meant: a page whose name was bent to it is not."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
    if name.strip("[]") not in LOCAL:
        raise Refusal(403, "This server answers to its own machine's name.", code="wrong_host")
