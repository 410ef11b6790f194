"""Service: a served model with all that stands between it and whoever asks."""

import asyncio
import hashlib
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from starlette.requests import Request

from tuneglm.api.job import Job
from tuneglm.api.limits import Keys, Rates, keys_of, read_body, read_object
from tuneglm.api.metrics import Metrics
from tuneglm.api.refusals import Refusal
from tuneglm.api.requests import Prompts
from tuneglm.api.room import batch_for
from tuneglm.api.scheduler import Scheduler
from tuneglm.api.schema import ChatRequest, CompletionRequest
from tuneglm.api.served import Served
from tuneglm.serve_config import ServeConfig

# a body that comes more slowly holds a connection for nothing
BODY_SECONDS = 60

Result = TypeVar("Result")

log = logging.getLogger(__name__)


class Service:
    """What the routes are over; raises ConfigError as `keys_of` and `batch_for` do."""

    def __init__(self, served: Served, config: ServeConfig) -> None:
        self.served, self.config = served, config
        self.keys = Keys(keys_of(config))
        self.rates = Rates(config.requests_per_minute, config.tokens_per_minute)
        self.metrics = Metrics()
        batch, self.room = batch_for(served.chat, config)
        # a thread of its own: a long text must not keep those waiting whose answers come in pieces
        self.reader = ThreadPoolExecutor(1, "prompts")
        self.prompts = Prompts(served, config, self.room.context)
        self.scheduler = Scheduler(
            batch, served.chat.end_tokens, config.queue, self.metrics, lambda _: None
        )

    @property
    def context(self) -> int:
        """The most tokens of a prompt and its answer."""
        return self.room.context

    async def read(self, request: Request) -> dict[str, Any]:
        """A request's body as JSON; raises Refusal."""
        declared = request.headers.get("content-length")
        body = read_body(request.stream(), self.config.request_size, declared)
        try:
            found = await asyncio.wait_for(body, BODY_SECONDS)
        except asyncio.TimeoutError:
            raise Refusal(408, "The request came too slowly.", code="timeout") from None
        return read_object(found, request.headers.get("content-type", ""))

    async def aside(self, run: Callable[..., Result], *arguments: Any) -> Result:
        """What takes a while, on the thread that reads prompts."""
        return await asyncio.get_running_loop().run_in_executor(self.reader, run, *arguments)

    def caller(self, request: Request) -> str:
        """By whom limits are counted: a key's digest, or an address where there are no keys."""
        if self.keys:
            key = request.headers.get("authorization", "")
            return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
        return request.client.host if request.client else ""

    def used(self, request: Request, model: str, read: int, written: int) -> None:
        """Count an answer's tokens."""
        self.metrics.used(model, read, written)
        self.rates.spend(self.caller(request), read + written)

    def finished(
        self, request: Request, asked: ChatRequest | CompletionRequest, jobs: Sequence[Job]
    ) -> None:
        """Count what was read and written for a request, and note it for the log."""
        read = sum({id(job.row.prompt): len(job.row.prompt) for job in jobs}.values())
        written = sum(len(job.row.ids) for job in jobs)
        self.used(request, asked.model, read, written)
        request.state.told = f" · {asked.model} · {read} tokens read, {written} written"
        if self.config.log_prompts:
            for job in jobs:
                decode = self.served.chat.decode
                log.info("%s\n%s", decode(job.row.prompt), decode(job.answer))

    def refuse_stranger(self) -> None:
        """Raises Refusal where nobody owns a key: adapters are for the owner of one."""
        if not self.keys:
            message = "Adapters are added and removed by the owner of a key, and none is set."
            raise Refusal(403, message, code="no_key")

    def adapter_folder(self, path: str) -> Path:
        """A folder below the one for adapters; raises Refusal for any other place."""
        root = Path(self.config.adapter_folder).expanduser().resolve()
        refusal = Refusal(400, "There is no such folder below the one for adapters.", param="path")
        try:
            folder = (root / path).resolve()
            if not folder.is_relative_to(root) or not folder.is_dir():
                raise refusal
        except (OSError, ValueError, RuntimeError):
            raise refusal from None
        return folder
