"""Several processes of one run on this machine: started together, ended together.

The first one prints; of the others nothing is heard unless one is the first to
fail. What the others then say of a partner that they lost is not shown.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, Any

USER_ERROR, SIGNALLED = 2, 128
# a process that was asked to stop ends so, when everything is saved
STOPPED = (SIGNALLED + signal.SIGINT, SIGNALLED + signal.SIGTERM)
SECONDS_BETWEEN_LOOKS = 0.05
# for the others to notice, and to leave their folder in order
SECONDS_TO_END = 3.0
FAILURES = ("Error: ", "Traceback (most recent call last)")


@dataclass
class Worker:
    """One of the processes, and what it said of its failure."""

    rank: int
    process: subprocess.Popen[str]
    failure: list[str] = field(default_factory=list)

    def listen(self) -> None:
        """Pass on what the first process says, and keep what any says of a failure."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if self.failure or any(words in line for words in FAILURES):
                self.failure.append(line)
            elif self.rank == 0:
                print(line, end="", file=sys.stderr, flush=True)

    @property
    def has_failed(self) -> bool:
        """Whether it ended, and neither well nor because it was asked to."""
        return (self.process.poll() or 0) not in (0, *STOPPED)

    @property
    def code(self) -> int:
        """As a shell gives it: a signal is SIGNALLED and its number."""
        code = self.process.returncode
        return code if code >= 0 else SIGNALLED - code


def launch(arguments: Sequence[str], count: int) -> int:
    """`tuneglm ARGUMENTS` in so many processes; the exit code of the one that decided."""
    port = _free_port()
    workers = [_started(arguments, rank, count, port) for rank in range(count)]
    listeners = [threading.Thread(target=worker.listen, daemon=True) for worker in workers]
    for listener in listeners:
        listener.start()
    with _passed_on(workers):
        first = _first_to_fail(workers)
        _end(workers)
    for listener in listeners:
        listener.join(SECONDS_TO_END)
    stopped = max(worker.code for worker in workers if not worker.has_failed or worker is first)
    if first is not None and stopped == first.code:
        _print_failure(first, count)
    return stopped


def _started(arguments: Sequence[str], rank: int, count: int, port: int) -> Worker:
    environment = {
        # what torch's C++ parts say of a partner that was lost, and of speed
        "TORCH_CPP_LOG_LEVEL": "FATAL",
        **os.environ,
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "tuneglm.launch", *arguments],
        env=environment,
        # kept open as long as this process lives
        stdin=subprocess.PIPE,
        stdout=None if rank == 0 else subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
        # a signal of the terminal comes to this process alone, which passes it on once
        start_new_session=True,
    )
    return Worker(rank, process)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@contextmanager
def _passed_on(workers: Sequence[Worker]) -> Iterator[None]:
    """Ctrl-C and SIGTERM reach every process."""

    def pass_on(number: int, _: Any) -> None:
        for worker in workers:
            # Windows tells every process of the terminal itself, and knows no other way
            if os.name != "nt" or number != signal.SIGINT:
                worker.process.send_signal(number)

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, pass_on) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _first_to_fail(workers: Sequence[Worker]) -> Worker | None:
    """Wait until one fails or all have ended well; of two at once the one with a reason."""
    while True:
        running = [worker for worker in workers if worker.process.poll() is None]
        failed = [worker for worker in workers if worker.has_failed]
        if failed:
            return min(failed, key=_rank_of_reason)
        if not running:
            return None
        time.sleep(SECONDS_BETWEEN_LOOKS)


def _rank_of_reason(worker: Worker) -> int:
    if worker.process.returncode < 0:
        return 0
    return 1 if worker.code == USER_ERROR else 2


def _end(workers: Sequence[Worker]) -> None:
    """Processes that lost one wait for it for ever, unless they notice."""
    until = time.monotonic() + SECONDS_TO_END
    while time.monotonic() < until and any(worker.process.poll() is None for worker in workers):
        time.sleep(SECONDS_BETWEEN_LOOKS)
    for worker in workers:
        worker.process.kill()
        worker.process.wait()


def _print_failure(worker: Worker, count: int) -> None:
    returned = worker.process.returncode
    if returned < 0:
        name = signal.Signals(-returned).name
        print(
            f"Error: Process {worker.rank + 1} of {count} was ended by {name}; the others are "
            "ended too.\n  hint: the system does so where memory is short; the same command goes "
            "on from the newest checkpoint",
            file=sys.stderr,
        )
    for line in worker.failure:
        print(line, end="", file=sys.stderr)


def _end_with(pipe: IO[Any]) -> None:
    """Whoever started this process has died, however it died."""
    pipe.read()
    os._exit(1)


def work() -> None:
    """What one of the processes does."""
    threading.Thread(target=_end_with, args=(sys.stdin,), daemon=True).start()
    from tuneglm.cli import main

    main(sys.argv[1:])


if __name__ == "__main__":
    work()
