"""The application: which method answers at which address, and errors in OpenAI's shape."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from tuneglm.api.door import Door
from tuneglm.api.refusals import Refusal, broken
from tuneglm.api.routes import Routes
from tuneglm.api.service import Service
from tuneglm.api.waiting import GoneError, tell_on

log = logging.getLogger(__name__)


def app_of(service: Service) -> FastAPI:
    """The application over one served model."""

    @asynccontextmanager
    async def running(_: FastAPI) -> AsyncIterator[None]:
        service.scheduler.tell = partial(tell_on, asyncio.get_running_loop())
        service.scheduler.start()
        yield
        await run_in_threadpool(service.scheduler.stop)

    app = FastAPI(lifespan=running, openapi_url=None)
    routes = Routes(service)
    app.add_api_route("/health", routes.health, methods=["GET"])
    app.add_api_route("/metrics", routes.metrics, methods=["GET"])
    app.add_api_route("/v1/models", routes.models, methods=["GET"])
    app.add_api_route("/v1/models/{name:path}", routes.model, methods=["GET"])
    app.add_api_route("/v1/chat/completions", routes.chat, methods=["POST"])
    app.add_api_route("/v1/completions", routes.completion, methods=["POST"])
    app.add_api_route("/v1/embeddings", routes.embedding, methods=["POST"])
    app.add_api_route("/v1/adapters", routes.add_adapter, methods=["POST"])
    app.add_api_route("/v1/adapters/{name:path}", routes.remove_adapter, methods=["DELETE"])
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(HTTPException, _unknown)
    app.add_exception_handler(GoneError, _gone)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(Exception, _broken)
    app.add_middleware(Door, service=service)
    return app


async def _refused(_: Request, refusal: Any) -> Response:
    return JSONResponse(refusal.body, refusal.status, refusal.headers)


async def _unknown(request: Request, error: Any) -> Response:
    message = f"Unknown request URL: {request.method} {request.url.path}."
    code = "unknown_url" if error.status_code == 404 else "method_not_allowed"
    refusal = Refusal(error.status_code, message, code=code)
    return JSONResponse(refusal.body, refusal.status, error.headers)


async def _gone(_: Request, __: Any) -> Response:
    # nobody reads it; the number is what logs use for it
    return Response(status_code=499)


async def _broken(_: Request, error: Exception) -> Response:
    log.error("A mistake of ours:", exc_info=error)
    refusal = broken(error)
    return JSONResponse(refusal.body, refusal.status)
