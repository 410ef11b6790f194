"""How far the steps of an evaluation have come: a line that moves, or a line now and then."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from typing_extensions import Self

from tuneglm.reports.figures import duration
from tuneglm.reports.terminal import plain

SECONDS_BETWEEN_LINES = 10.0


class Steps:
    """Within it `step` shows one step after another."""

    def __init__(self, terminal: Console) -> None:
        self.terminal = terminal
        self.progress: Progress | None = None
        if terminal.is_terminal:
            self.progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=max(4, min(20, terminal.width // 8))),
                TextColumn("{task.completed}/{task.total} · {task.fields[left]}"),
                console=terminal,
                transient=True,
            )

    def __enter__(self) -> Self:
        if self.progress is not None:
            self.progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.progress is not None:
            self.progress.stop()

    @contextmanager
    def step(self, title: str, total: int, done: int = 0) -> Iterator[Callable[[int], None]]:
        """A step of so many rows, of which some were done before; to be told how many are."""
        started = printed = time.monotonic()
        task = None
        if self.progress is not None:
            task = self.progress.add_task(plain(title), total=total, completed=done, left="")

        def tell(now: int) -> None:
            nonlocal printed
            moment = time.monotonic()
            left = (moment - started) / max(1, now - done) * (total - now)
            text = f"{duration(left)} left"
            if self.progress is not None and task is not None:
                self.progress.update(task, completed=now, left=text)
            elif now < total and moment - printed > SECONDS_BETWEEN_LINES:
                printed = moment
                self.terminal.print(f"{plain(title)} {now:,}/{total:,} · {text}")

        yield tell
        if self.progress is not None and task is not None:
            self.progress.remove_task(task)
        self.terminal.print(f"{plain(title)} · {duration(time.monotonic() - started)}")
