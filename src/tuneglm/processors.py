"""How many processors this process may use, and so how many threads it computes with.

torch counts the processors that it sees. In a container with a quota of processor time there are
more of them than it is given: threads that use the quota up sooner are all stopped for the rest
of each period, and those that wait for each other wait for the stopped ones.

    usable       by what the system says: affinity, and the quota of the container
    use_threads  torch's own number, and no more than that; several processes share them
"""

import math
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

# whoever sets it has chosen
CHOSEN = "OMP_NUM_THREADS"
# by torchrun, accelerate and `--processes`: how many processes of a run are on this machine
PROCESSES = "LOCAL_WORLD_SIZE"


@dataclass(frozen=True)
class Threads:
    """With how many torch computes, and the quota in processors where that is why."""

    count: int
    quota: float | None = None

    @property
    def words(self) -> str:
        """As the line `Compute` has it."""
        said = "1 thread" if self.count == 1 else f"{self.count} threads"
        if self.quota is None:
            return said
        unit = "processor" if self.quota == 1 else "processors"
        return f"{said} (a quota of {self.quota:.3g} {unit})"


def usable() -> int:
    """Processors that this process may keep busy."""
    granted = quota()
    return seen() if granted is None else min(seen(), _whole(granted))


def seen() -> int:
    """Processors that it may run on."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def use_threads() -> Threads:
    """Let torch compute with as many threads as it may, from now on; says with how many.

    Never more than it would take by itself, and as OMP_NUM_THREADS says where that is set. Called
    before anything is computed; it chooses once, and whoever changes it later has the last word.
    """
    import torch

    chosen, now = _chosen(), torch.get_num_threads()
    return chosen if chosen.count == now else Threads(now)


@cache
def _chosen() -> Threads:
    import torch

    itself = torch.get_num_threads()
    if CHOSEN in os.environ:
        return Threads(itself)
    granted, own = quota(), min(itself, seen())
    whole = own if granted is None else min(own, _whole(granted))
    processes = max(1, int(os.environ.get(PROCESSES, "1")))
    count = max(1, whole // processes)
    if count < itself:
        torch.set_num_threads(count)
    if processes > 1:
        # accelerate would choose otherwise, and knows no quota
        os.environ[CHOSEN] = str(count)
    return Threads(count, granted if whole < own else None)


def quota(root: Path = Path("/")) -> float | None:
    """Processors' time that the control groups of this process are granted, None for all.

    Of each group and all above it the smallest counts. Where a container shows its own group as
    the topmost, the name that the system has for it leads nowhere, and the topmost is read.
    """
    granted = [each for group in _groups(root) for each in _granted(group)]
    return min(granted, default=None)


def _groups(root: Path) -> Iterator[Path]:
    """Folders of this process's groups, of version 2 and of the first one's `cpu`, to the top."""
    lines: list[str] = []
    with suppress(OSError):
        lines = (root / "proc/self/cgroup").read_text("utf-8").splitlines()
    mounts = root / "sys/fs/cgroup"
    for line in lines:
        _, controllers, name = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        # the first version has a folder for each set of controllers, the second one for all
        for top in {mounts / controllers, mounts / "cpu"} if controllers else {mounts}:
            group = top / name.lstrip("/")
            yield from (group, *(each for each in group.parents if each.is_relative_to(top)))


def _granted(group: Path) -> Iterator[float]:
    """What a group's own files say, in processors."""
    with suppress(OSError, ValueError, ZeroDivisionError):
        time, period = (group / "cpu.max").read_text("utf-8").split()
        # or `max`, which is no number
        yield int(time) / int(period)
    with suppress(OSError, ValueError, ZeroDivisionError):
        time, period = (
            (group / f"cpu.cfs_{name}_us").read_text("utf-8") for name in ("quota", "period")
        )
        # -1 stands for all
        if int(time) > 0:
            yield int(time) / int(period)


def _whole(granted: float) -> int:
    return max(1, math.ceil(granted))
