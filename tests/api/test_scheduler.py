"""The thread that owns the model: who waits for whom, who leaves, and what an error leaves."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.api.serving import wait_until
from tuneglm.api.job import Done, Job, Piece
from tuneglm.api.metrics import Metrics
from tuneglm.api.room import batch_for
from tuneglm.api.scheduler import QueueFullError, Scheduler, StoppedError
from tuneglm.demo import MODEL_FOLDER
from tuneglm.generate import ChatModel
from tuneglm.serve_config import ServeConfig
from tuneglm.writing import batch as batch_module
from tuneglm.writing.places import place
from tuneglm.writing.row import Row, Sampling
from tuneglm.writing.text import AnswerText

Happened = tuple[Job, "Piece | Done"]


@pytest.fixture(scope="module")
def chat() -> ChatModel:
    return ChatModel(MODEL_FOLDER, dtype="float32", device="cpu")


@pytest.fixture
def happened() -> list[Happened]:
    return []


@pytest.fixture
def scheduler(chat: ChatModel, happened: list[Happened]) -> Iterator[Scheduler]:
    batch, _ = batch_for(chat, ServeConfig(slots=2))
    # no token ends an answer: each has the length that is asked for
    made = Scheduler(batch, (), 3, Metrics(), happened.extend)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def job_of(chat: ChatModel) -> Callable[[int, int], Job]:
    def made(prompt: int, answer: int) -> Job:
        row = Row([*range(20, 20 + prompt)], answer, Sampling(temperature=0), "base")
        place(row, chat.model.config, chat.family)
        text = AnswerText(lambda ids: "x" * len(ids), (), leading_space=True)
        return Job(row, text, 0, streams=True, has_stops=False)

    return made


def of(job: Job, happened: list[Happened]) -> list[Any]:
    return [event for one, event in happened if one is job]


def test_a_long_prompt_does_not_keep_others_waiting(
    scheduler: Scheduler,
    job_of: Callable[[int, int], Job],
    happened: list[Happened],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is read piece by piece, and the others write a token beside each."""
    monkeypatch.setattr(batch_module, "PIECE", 16)
    short, long = job_of(4, 60), job_of(320, 2)
    scheduler.submit([short])
    wait_until(lambda: of(short, happened))
    scheduler.submit([long])
    wait_until(lambda: of(long, happened))
    events = [job for job, _ in happened]
    wait_until(lambda: any(isinstance(event, Done) for event in of(long, happened)))
    assert events[: events.index(long)].count(short) > 320 // 16
    assert len(long.row.ids) == 2 and long.row.filled == 321


def test_who_leaves_makes_room(
    scheduler: Scheduler, job_of: Callable[[int, int], Job], happened: list[Happened]
) -> None:
    """Whether it was writing or waiting; and a full queue takes nobody, or all of a request."""
    running = [job_of(4, 450), job_of(5, 450)]
    waiting = [job_of(4, 3) for _ in range(3)]
    scheduler.submit(running)
    wait_until(lambda: len(scheduler._jobs) == 2)
    scheduler.submit(waiting[:2])
    with pytest.raises(QueueFullError):
        scheduler.submit([job_of(4, 3), job_of(4, 3)])
    scheduler.submit(waiting[2:])
    with pytest.raises(QueueFullError):
        scheduler.submit([job_of(4, 3)])
    waiting[0].leave()
    late = job_of(4, 3)
    scheduler.submit([late])
    for job in running:
        job.leave()
    wait_until(lambda: scheduler.is_idle)
    assert of(waiting[0], happened) == []
    for job in (*waiting[1:], late):
        assert of(job, happened)[-1] == Done("length")
    assert not any(isinstance(event, Done) for job in running for event in of(job, happened))


def test_an_error_of_a_step_ends_those_who_were_in_it(
    scheduler: Scheduler, job_of: Callable[[int, int], Job], happened: list[Happened]
) -> None:
    """Such as memory that is short; who comes next is served."""
    plain = scheduler._batch.write
    failing: Any = scheduler._batch

    def short_of_memory() -> list[Row]:
        failing.write = plain
        raise RuntimeError("out of memory")

    failing.write = short_of_memory
    first, second = job_of(4, 5), job_of(4, 5)
    scheduler.submit([first])
    wait_until(lambda: of(first, happened))
    assert isinstance(of(first, happened)[0].error, RuntimeError)
    scheduler.submit([second])
    wait_until(lambda: scheduler.is_idle)
    assert of(second, happened)[-1] == Done("length")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_our_own_mistake_ends_the_thread_and_leaves_nobody_waiting(
    scheduler: Scheduler, job_of: Callable[[int, int], Job], happened: list[Happened]
) -> None:
    broken: Any = scheduler._batch
    gate = threading.Event()

    def mistaken() -> list[Row]:
        gate.wait()
        raise AssertionError

    broken.write = mistaken
    jobs = [job_of(4, 5) for _ in range(4)]
    scheduler.submit(jobs[:2])
    wait_until(lambda: len(scheduler._jobs) == 2)
    scheduler.submit(jobs[2:])
    call = scheduler.call(lambda: None, lambda: False)
    gate.set()
    wait_until(lambda: not scheduler.is_alive)
    for job in jobs:
        wait_until(lambda job=job: of(job, happened))
        assert isinstance(of(job, happened)[-1].error, AssertionError)
    assert isinstance(call.exception(timeout=5), AssertionError)
    with pytest.raises(StoppedError):
        scheduler.submit([job_of(4, 5)])


def test_an_adapter_that_went_while_a_job_was_made(
    scheduler: Scheduler, job_of: Callable[[int, int], Job], happened: list[Happened]
) -> None:
    late, other = job_of(4, 3), job_of(4, 3)
    late.row.adapter = "star"
    scheduler.submit([late, other])
    wait_until(lambda: of(late, happened) and scheduler.is_idle)
    assert "no adapter `star` any more" in str(of(late, happened)[0].error)
    assert of(other, happened)[-1] == Done("length")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_nor_does_a_mistake_while_a_job_is_taken_in(
    scheduler: Scheduler, job_of: Callable[[int, int], Job], happened: list[Happened]
) -> None:
    broken: Any = scheduler._batch

    def mistaken(_: str) -> bool:
        raise AssertionError

    broken.knows = mistaken
    job = job_of(4, 5)
    scheduler.submit([job])
    wait_until(lambda: of(job, happened))
    assert isinstance(of(job, happened)[0].error, AssertionError)
