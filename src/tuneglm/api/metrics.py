"""What Prometheus is told: requests, tokens, times, and how full the batch is."""

import time
from typing import Any

from tuneglm.api.job import Job

SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """Counters of one server, in a registry of their own."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self.registry: Any = CollectorRegistry()
        of: Any = {"registry": self.registry}
        times: Any = {"buckets": SECONDS, **of}
        self._requests = Counter(
            "tuneglm_requests", "Requests that were answered", ["route", "status"], **of
        )
        self._read = Counter("tuneglm_prompt_tokens", "Tokens of prompts", ["model"], **of)
        self._written = Counter("tuneglm_answer_tokens", "Tokens of answers", ["model"], **of)
        self._running = Gauge("tuneglm_answers_running", "Answers that are being written", **of)
        self._waiting = Gauge("tuneglm_answers_waiting", "Answers that wait for a place", **of)
        self._first = Histogram(
            "tuneglm_first_token_seconds",
            "From a request to its first token",
            buckets=SECONDS,
            **of,
        )
        self._seconds = Histogram(
            "tuneglm_request_seconds", "From a request to its end", ["route"], **times
        )

    def text(self) -> bytes:
        """All of it, in Prometheus' form."""
        from prometheus_client import generate_latest

        found: bytes = generate_latest(self.registry)
        return found

    def request(self, route: str, status: int, seconds: float) -> None:
        """A request came to its end."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def used(self, model: str, read: int, written: int) -> None:
        """Tokens of an answer."""
        self._read.labels(model).inc(read)
        self._written.labels(model).inc(written)

    def running(self, running: int, waiting: int) -> None:
        """How full the batch is."""
        self._running.set(running)
        self._waiting.set(waiting)

    def written(self, job: Job) -> None:
        """A token was drawn; the first one's time is kept."""
        if job.first_at is None:
            job.first_at = time.monotonic()
            self._first.observe(job.first_at - job.asked_at)
