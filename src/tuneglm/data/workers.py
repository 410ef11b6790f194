"""Blocks of rows → what a function makes of them, by several processes, in their order."""

import gc
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from tuneglm.errors import DataError

Row = TypeVar("Row")
Made = TypeVar("Made")
Work = Callable[[Sequence[Row]], Made]

SECONDS_BETWEEN_LOOKS = 1.0


def made_of_blocks(
    work: Work[Row, Made], blocks: Iterator[list[Row]], count: int, name: str
) -> Iterator[tuple[int, Made]]:
    """(rows of the block, what became of it) of each block; `count` processes, of one: this one.

    Raises DataError where the system ended one of them; `name` is what they work on.
    """
    if count == 1:
        yield from ((len(block), work(block)) for block in blocks)
        return
    # a fork shares the tokenizer's memory; elsewhere it is sent once to each process
    forks = "fork" in multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("fork" if forks else "spawn")
    with ProcessPoolExecutor(count, context, _start, (work, os.getpid())) as pool:
        waiting: deque[tuple[int, Future[Any]]] = deque()
        try:
            for block in blocks:
                waiting.append((len(block), pool.submit(_work, block)))
                if len(waiting) > count + 1:
                    size, future = waiting.popleft()
                    yield size, future.result()
            for size, future in waiting:
                yield size, future.result()
        except BrokenProcessPool:
            raise DataError(
                f"The system ended a process that encoded `{name}`: it may be out of memory.",
                "use fewer processes (data.workers=1); the same command then goes on",
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


_given: Work[Any, Any] | None = None


def _start(work: Work[Any, Any], parent: int) -> None:
    """Of a process that works: what to do. Ctrl-C is the parent's to see."""
    global _given
    _given = work
    # the processors are shared out already; and a fork has no threads of the tokenizer's
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    # rows make no cycles: looking for some took up to half of the time
    gc.disable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """A parent that is killed ends nobody; what it leaves behind would wait for ever."""
    while os.getppid() == parent:
        time.sleep(SECONDS_BETWEEN_LOOKS)
    os._exit(1)


def _work(block: list[Any]) -> Any:
    assert _given is not None
    return _given(block)
