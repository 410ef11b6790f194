"""Between the thread that owns the model and whoever waits for an answer on the event loop."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

from starlette.requests import Request

from tuneglm.api.job import Done, Job, Piece, Reason
from tuneglm.api.refusals import Refusal, broken
from tuneglm.api.scheduler import QueueFullError, Scheduler, StoppedError, Told
from tuneglm.errors import UserError

Happened = tuple[Job, "Piece | Done"]


class GoneError(Exception):
    """Whoever asked has gone."""


class Waiting:
    """The jobs of one request: handed in, told of, and given up where nobody waits any more."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self.jobs = jobs
        self._happened: asyncio.Queue[Happened] = asyncio.Queue()
        for job in jobs:
            job.waiter = self._happened

    async def events(self) -> AsyncIterator[Happened]:
        """What happens, until the last one is done; raises Refusal where there is no answer."""
        open_jobs = len(self.jobs)
        try:
            while open_jobs:
                job, event = await self._happened.get()
                if isinstance(event, Done):
                    if event.error is not None:
                        raise no_answer(event.error)
                    open_jobs -= 1
                yield job, event
        finally:
            for job in self.jobs:
                job.leave()

    async def reasons(self) -> list[Reason]:
        """Why each ended, when all have."""
        found = {
            job.number: event.reason
            async for job, event in self.events()
            if isinstance(event, Done)
        }
        return [found[job.number] for job in self.jobs]


def tell_on(loop: asyncio.AbstractEventLoop, told: Told) -> None:
    """Hand over what happened in a step, from the model's thread, at once for all."""
    # a loop that was closed in a hurry has nobody who waits
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(_hand_over, told)


def submitted(scheduler: Scheduler, jobs: Sequence[Job]) -> Waiting:
    """Hand jobs in; raises Refusal where there is no place to wait."""
    waiting = Waiting(jobs)
    try:
        scheduler.submit(jobs)
    except QueueFullError:
        raise queue_full(scheduler) from None
    except StoppedError as error:
        raise no_answer(error) from None
    return waiting


def queue_full(scheduler: Scheduler) -> Refusal:
    """Try again when about a place will be free."""
    return Refusal(
        429,
        "The server is at its limit: too many requests wait. Please try again later.",
        code="queue_full",
        retry_after=scheduler.expected_wait,
    )


async def unless_gone(request: Request, waiting: Waiting) -> list[Reason]:
    """The end of an answer that is not streamed; raises GoneError where nobody waits for it."""
    answer = asyncio.ensure_future(waiting.reasons())
    gone = asyncio.ensure_future(_until_gone(request))
    try:
        await asyncio.wait((answer, gone), return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        raise GoneError
    finally:
        gone.cancel()
        answer.cancel()
        for job in waiting.jobs:
            job.leave()


async def _until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _hand_over(told: Told) -> None:
    for job, event in told:
        if job.waiter is not None:
            job.waiter.put_nowait((job, event))


def no_answer(error: BaseException) -> Refusal:
    """What is answered where a job ended with an error, or could not begin."""
    if isinstance(error, StoppedError):
        return Refusal(503, "The server is being stopped.", code="server_stopped", retry_after=5)
    if isinstance(error, UserError):
        return Refusal(404, error.sentence, param="model", code="model_not_found")
    return broken(error)
