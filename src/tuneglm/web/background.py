"""A command in a process of its own, which goes on whatever becomes of the page.

All that is known of it lies in one folder: the command, what it printed, and a lock that
the system opens when the process ends, however it ends.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuneglm.errors import OutputError

COMMAND_FILE, OUTPUT_FILE, LOCK_FILE = "command.json", "output.txt", "lock"
# of the output, the end is shown
SHOWN_BYTES = 20_000


@dataclass(frozen=True)
class Background:
    """A command whose folder this is; there may be none yet."""

    folder: Path

    def start(self, words: Sequence[str], directory: Path) -> None:
        """Start `tuneglm WORDS` in that directory; raises OutputError where one is at work."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = _taken(self.folder / LOCK_FILE)
        if lock is None:
            raise OutputError(f"A command is at work already in `{self.folder.parent.name}`.")
        try:
            process = self._spawn(words, directory, lock)
        finally:
            # the process holds it from now on
            os.close(lock)
        record = {"words": list(words), "process": process.pid}
        text = json.dumps(record, ensure_ascii=False)
        (self.folder / COMMAND_FILE).write_text(text, encoding="utf-8")
        _STARTED.append(process)

    def _spawn(self, words: Sequence[str], directory: Path, lock: int) -> "subprocess.Popen[bytes]":
        environment = os.environ | {"PYTHONUNBUFFERED": "1", "COLUMNS": "100", "NO_COLOR": "1"}
        with (self.folder / OUTPUT_FILE).open("wb") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "tuneglm", *words],
                cwd=directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=[lock],
                start_new_session=True,
            )

    def is_running(self) -> bool:
        """Whether the process, or one that it started, is at work."""
        _reap()
        path = self.folder / LOCK_FILE
        if not path.is_file():
            return False
        lock = _taken(path)
        if lock is None:
            return True
        os.close(lock)
        return False

    def stop(self) -> None:
        """Ask it to end, as Ctrl-C does; of one that has ended nothing is asked."""
        if not self.is_running():
            return
        with suppress(ProcessLookupError):
            os.kill(int(self._record()["process"]), signal.SIGINT)

    @property
    def words(self) -> tuple[str, ...]:
        """What stands behind `tuneglm`; nothing where no command was started."""
        return tuple(self._record().get("words", ()))

    def output(self, most: int = SHOWN_BYTES) -> str:
        """The end of what was printed."""
        path = self.folder / OUTPUT_FILE
        if not path.is_file():
            return ""
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - most))
            return file.read().decode("utf-8", errors="replace")

    def error(self) -> str:
        """The sentence with which the command refused; nothing where it did not."""
        text = self.output()
        return text[text.rfind("Error: ") :].strip() if "Error: " in text else ""

    def _record(self) -> dict[str, Any]:
        try:
            text = (self.folder / COMMAND_FILE).read_text(encoding="utf-8")
        except FileNotFoundError:
            return {}
        record: dict[str, Any] = json.loads(text)
        return record


# processes of this page that have ended are taken note of, or they stay as zombies
_STARTED: list["subprocess.Popen[bytes]"] = []


def _reap() -> None:
    _STARTED[:] = [process for process in _STARTED if process.poll() is None]


def _taken(path: Path) -> int | None:
    """A descriptor that holds the lock; None where another process has it."""
    import fcntl

    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
