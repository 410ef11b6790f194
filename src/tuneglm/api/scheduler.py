"""The thread that owns the model: it takes jobs in, lets all of them write, and sends them away.

Nobody else touches the model. What is to be done with it between steps (an adapter added or
taken away, an embedding) is handed over as a call.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from tuneglm.api.job import Done, Job, Piece, Reason
from tuneglm.api.metrics import Metrics
from tuneglm.errors import ModelError
from tuneglm.writing.apart import Apart
from tuneglm.writing.batch import Batch
from tuneglm.writing.row import Row

Told = Sequence[tuple[Job, "Piece | Done"]]
Result = TypeVar("Result")


class QueueFullError(Exception):
    """As many wait as may wait."""


class StoppedError(Exception):
    """The thread has ended, or is about to."""


@dataclass(frozen=True)
class _Call:
    run: Callable[[], Any]
    may_run: Callable[[], bool]
    result: "Future[Any]"


class Scheduler:
    """Jobs of one batch.

    ends  tokens at which an answer ends
    tell  gets what happened in a step, on this thread
    """

    def __init__(
        self,
        batch: Batch | Apart,
        ends: Sequence[int],
        queue: int,
        metrics: Metrics,
        tell: Callable[[Told], None],
    ) -> None:
        self.tell = tell
        self._batch, self._ends, self._most = batch, frozenset(ends), queue
        self._metrics = metrics
        self._waiting: deque[Job] = deque()
        self._calls: deque[_Call] = deque()
        self._jobs: dict[Row, Job] = {}
        self._told: list[tuple[Job, Piece | Done]] = []
        self._wake = threading.Condition()
        self._stops = False
        # of an answer, as they have been lately
        self._seconds = 1.0
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def stop(self) -> None:
        """End after this step, whoever waits."""
        with self._wake:
            self._stops = True
            self._wake.notify()
        if self._thread.is_alive():
            self._thread.join()

    @property
    def is_alive(self) -> bool:
        """Whether answers can be expected."""
        return self._thread.is_alive() and not self._stops

    @property
    def is_idle(self) -> bool:
        """Whether nobody waits for anything."""
        return not (self._waiting or self._jobs or self._calls)

    @property
    def expected_wait(self) -> float:
        """Seconds until about a place is free for one who comes now."""
        turns = (len(self._waiting) + 1) / max(1, len(self._jobs))
        return min(60.0, turns * self._seconds)

    def submit(self, jobs: Sequence[Job]) -> None:
        """Let them wait for a place, all or none of them.

        Raises QueueFullError where too many wait, and StoppedError.
        """
        with self._wake:
            self._refuse_stopped()
            if len(self._waiting) + len(jobs) > self._most:
                self._waiting = deque(job for job in self._waiting if not job.is_left)
            if len(self._waiting) + len(jobs) > self._most:
                raise QueueFullError
            self._waiting.extend(jobs)
            self._wake.notify()

    def call(
        self, run: Callable[[], Result], may_run: Callable[[], bool] = lambda: True
    ) -> "Future[Result]":
        """Let the thread do this between two steps, as soon as `may_run` says so there."""
        result: Future[Result] = Future()
        with self._wake:
            self._refuse_stopped()
            if len(self._calls) >= self._most:
                raise QueueFullError
            self._calls.append(_Call(run, may_run, result))
            self._wake.notify()
        return result

    def uses(self, adapter: str) -> bool:
        """Whether somebody's answer is written by this adapter, or is to be."""
        jobs = [*self._jobs.values(), *self._waiting]
        return any(job.row.adapter == adapter and not job.is_left for job in jobs)

    def _refuse_stopped(self) -> None:
        if self._stops or not self._thread.is_alive():
            raise StoppedError

    def _run(self) -> None:
        error: BaseException = StoppedError()
        try:
            while not self._stops:
                self._turn()
        except BaseException as failure:
            error = failure
            raise
        finally:
            with self._wake:
                self._stops = True
                self._fail([*self._jobs.values(), *self._waiting], error)
                for call in self._calls:
                    call.result.set_exception(error)

    def _turn(self) -> None:
        with self._wake:
            if self.is_idle:
                self._metrics.running(0, 0)
                self._wake.wait(timeout=1)
            self._admit()
        self._call()
        if not self._batch.rows:
            self._tell()
            return
        try:
            self._batch.read()
            for row in self._batch.write():
                self._advance(self._jobs[row])
        except RuntimeError as error:
            # such as memory that is short: these have no answer, the next ones may
            self._fail([*self._jobs.values()], error)
        self._tell()

    def _admit(self) -> None:
        """Let go whoever left, and take in who waits."""
        for job in [job for job in self._jobs.values() if job.is_left]:
            self._release(job)
        while self._waiting and self._batch.has_room:
            self._take(self._waiting[0])
            # only now: whoever waits is told of a mistake that is made above
            self._waiting.popleft()
        self._metrics.running(len(self._jobs), len(self._waiting))

    def _take(self, job: Job) -> None:
        if job.is_left:
            return
        if not self._batch.knows(job.row.adapter):
            gone = ModelError(f"There is no adapter `{job.row.adapter}` any more.")
            self._told.append((job, Done(error=gone)))
            return
        job.began = time.monotonic()
        self._batch.join(job.row)
        self._jobs[job.row] = job

    def _call(self) -> None:
        """One of what is to be done between steps, so that the steps go on."""
        for call in [*self._calls]:
            if not call.may_run():
                continue
            self._calls.remove(call)
            if call.result.set_running_or_notify_cancel():
                try:
                    call.result.set_result(call.run())
                except BaseException as error:
                    call.result.set_exception(error)
                self._batch.adapters_changed()
            return

    def _advance(self, job: Job) -> None:
        """What a new token means for its answer."""
        token = job.row.ids[-1]
        self._metrics.written(job)
        reason: Reason | None = None
        text = ""
        if token in self._ends:
            job.ends_with, reason = token, "stop"
        else:
            if job.reads_along:
                text = job.text.add(token)
            if job.text.is_stopped:
                reason = "stop"
            elif len(job.row.ids) >= job.row.longest:
                reason = "length"
        if reason is not None and job.reads_along:
            text += job.text.end()
        if job.streams and (text or reason):
            self._told.append((job, Piece(text, job.new_tokens())))
        if reason is not None:
            self._seconds += 0.1 * (time.monotonic() - job.began - self._seconds)
            self._release(job)
            self._told.append((job, Done(reason)))

    def _release(self, job: Job) -> None:
        del self._jobs[job.row]
        self._batch.leave(job.row)

    def _fail(self, jobs: Sequence[Job], error: BaseException) -> None:
        for job in jobs:
            if job.row in self._jobs:
                self._release(job)
            self._told.append((job, Done(error=error)))
        self._tell()

    def _tell(self) -> None:
        if self._told:
            told, self._told = self._told, []
            self.tell(told)
