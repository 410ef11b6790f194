"""A folder for one process alone."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tuneglm.errors import OutputError

# a worker of a killed run's loader, which holds the run's lock, ends within this time
PATIENCE = 10.0


@contextmanager
def locked(
    folder: Path,
    patience: float = PATIENCE,
    remedy: str = "wait until it ends, or choose another training.output_dir",
) -> Iterator[None]:
    """Keep other processes of this machine out; the system opens the lock when this one dies.

    Raises OutputError where another one stays in for longer than `patience`, in seconds.
    """
    if os.name == "nt":
        yield
        return
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY)
    until = time.monotonic() + patience
    try:
        while not _took(descriptor, fcntl):
            if time.monotonic() > until:
                raise OutputError(f"Another process is at work in `{folder}`.", remedy)
            time.sleep(0.1)
        yield
    finally:
        os.close(descriptor)


def _took(descriptor: int, fcntl: Any) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        # a file system without locks
        return True
    return True
