"""What each route does: requests to jobs, jobs to answers, and the adapters' administration."""

import asyncio
import json
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, TypeVar

from fastapi import Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import ValidationError

from tuneglm.api.chat_answers import ChatAnswers
from tuneglm.api.completion_answers import CompletionAnswers
from tuneglm.api.embedding import Reading, as_base64
from tuneglm.api.job import Done, Job
from tuneglm.api.messages import Record
from tuneglm.api.refusals import Refusal
from tuneglm.api.scheduler import QueueFullError, StoppedError
from tuneglm.api.schema import (
    AdapterRequest,
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
)
from tuneglm.api.service import Service
from tuneglm.api.waiting import (
    GoneError,
    Waiting,
    no_answer,
    queue_full,
    submitted,
    unless_gone,
)
from tuneglm.api.wrong_fields import refusal_of
from tuneglm.errors import UserError

Answers = ChatAnswers | CompletionAnswers
Asked = TypeVar("Asked", bound=Record)

log = logging.getLogger(__name__)


class Routes:
    """One method a route."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._served = service.served
        self._reads, self._readers = asyncio.Lock(), Counter[str]()

    async def health(self) -> Response:
        """Whether answers can be expected."""
        alive = self._service.scheduler.is_alive
        state = "ok" if alive else "stopped"
        return JSONResponse({"status": state}, 200 if alive else 503)

    async def metrics(self) -> Response:
        """For Prometheus."""
        return Response(self._service.metrics.text(), media_type="text/plain; version=0.0.4")

    async def models(self) -> Response:
        """All names that a request may choose."""
        return JSONResponse(
            {"object": "list", "data": [self._described(name) for name in self._served.names]}
        )

    async def model(self, name: str) -> Response:
        """One of them."""
        self._served.adapter_of(name)
        return JSONResponse(self._described(name))

    async def chat(self, request: Request) -> Response:
        """A conversation is answered."""
        asked = await self._asked(request, ChatRequest)
        self._served.adapter_of(asked.model)
        jobs = await self._service.aside(self._service.prompts.of_chat, asked)
        return await self._answer(request, ChatAnswers(self._served.chat, asked), jobs, asked)

    async def completion(self, request: Request) -> Response:
        """A text is gone on with."""
        asked = await self._asked(request, CompletionRequest)
        self._served.adapter_of(asked.model)
        jobs = await self._service.aside(self._service.prompts.of_completion, asked)
        return await self._answer(request, CompletionAnswers(self._served.chat, asked), jobs, asked)

    async def embedding(self, request: Request) -> Response:
        """Each text becomes a vector."""
        asked = await self._asked(request, EmbeddingRequest)
        adapter = self._served.adapter_of(asked.model)
        width = self._served.chat.model.config.hidden_size
        if asked.dimensions not in (None, width):
            message = f"This model's vectors have {width} dimensions."
            raise Refusal(400, message, param="dimensions", code="invalid_value")
        texts = await self._service.aside(self._service.prompts.ids_of, asked.input, "input")
        found = []
        for number, ids in enumerate(texts):
            vector = await self._read(request, ids, adapter)
            shown: Any = as_base64(vector) if asked.encoding_format == "base64" else vector
            found.append({"object": "embedding", "index": number, "embedding": shown})
        read = sum(map(len, texts))
        self._service.used(request, asked.model, read, 0)
        usage = {"prompt_tokens": read, "total_tokens": read}
        answer = {"object": "list", "data": found, "model": asked.model, "usage": usage}
        return JSONResponse(answer)

    async def _read(self, request: Request, ids: list[int], adapter: str) -> list[float]:
        """A text's vector. One is read at a time: each keeps keys and values of its own."""
        if self._readers.total() >= self._service.config.queue:
            raise queue_full(self._service.scheduler)
        self._readers[adapter] += 1
        try:
            async with self._reads:
                made = partial(Reading, self._served.chat, ids, adapter)
                reading: Reading = await self._on_model(made)
                while not reading.is_done:
                    if await request.is_disconnected():
                        raise GoneError
                    await self._on_model(reading.read)
        finally:
            self._readers[adapter] -= 1
        return reading.vector()

    async def add_adapter(self, request: Request) -> Response:
        """Load an adapter, and serve it by its name."""
        self._service.refuse_stranger()
        asked = await self._asked(request, AdapterRequest)
        folder = self._service.adapter_folder(asked.path)
        await self._on_model(partial(self._served.add, asked.name, folder))
        log.info("Added the adapter %s: %s", asked.name, folder)
        return JSONResponse(self._described(asked.name), 201)

    async def remove_adapter(self, name: str) -> Response:
        """Hide an adapter at once, and let go of it when nobody is answered by it."""
        self._service.refuse_stranger()
        scheduler = self._service.scheduler
        adapter = self._served.adapter_of(name)
        self._served.hide(name)
        await self._on_model(
            partial(self._served.remove, adapter),
            lambda: not (scheduler.uses(adapter) or self._readers[adapter]),
        )
        log.info("Took away the adapter %s", name)
        return JSONResponse({"id": name, "object": "model", "deleted": True})

    def _described(self, name: str) -> dict[str, Any]:
        created = self._served.since[name]
        described = {"id": name, "object": "model", "created": created, "owned_by": "tuneglm"}
        return {**described, "max_model_len": self._service.context}

    async def _asked(self, request: Request, kind: type[Asked]) -> Asked:
        found = await self._service.read(request)
        try:
            return kind.model_validate(found)
        except ValidationError as error:
            raise refusal_of(error) from None

    async def _on_model(
        self, run: Callable[[], Any], may_run: Callable[[], bool] = lambda: True
    ) -> Any:
        """Let the model's thread do something between two steps."""
        try:
            return await asyncio.wrap_future(self._service.scheduler.call(run, may_run))
        except QueueFullError:
            raise queue_full(self._service.scheduler) from None
        except (StoppedError, UserError) as error:
            raise no_answer(error) from None
        except ValueError as error:
            raise Refusal(400, str(error), param="input", code="invalid_value") from None

    async def _answer(
        self,
        request: Request,
        answers: Answers,
        jobs: list[Job],
        asked: ChatRequest | CompletionRequest,
    ) -> Response:
        waiting = submitted(self._service.scheduler, jobs)
        if asked.stream:
            pieces = self._stream(request, answers, waiting, asked)
            headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
            return StreamingResponse(pieces, media_type="text/event-stream", headers=headers)
        reasons = await unless_gone(request, waiting)
        self._service.finished(request, asked, jobs)
        return JSONResponse(answers.whole(jobs, reasons))

    async def _stream(
        self,
        request: Request,
        answers: Answers,
        waiting: Waiting,
        asked: ChatRequest | CompletionRequest,
    ) -> AsyncIterator[bytes]:
        """Server-sent events; leaving the loop gives the jobs' places to others."""
        jobs = waiting.jobs
        try:
            for job in jobs:
                if opening := answers.opening(job):
                    yield _event(opening)
            async for job, event in waiting.events():
                if isinstance(event, Done):
                    for last in answers.closing(job, event.reason):
                        yield _event(last)
                elif piece := answers.piece(job, event):
                    yield _event(piece)
            if asked.tells_usage:
                yield _event(answers.used(jobs))
            yield b"data: [DONE]\n\n"
        except Refusal as refusal:
            yield _event(refusal.body)
        finally:
            for job in jobs:
                job.leave()
            self._service.finished(request, asked, jobs)


def _event(content: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(content, ensure_ascii=False).encode() + b"\n\n"
