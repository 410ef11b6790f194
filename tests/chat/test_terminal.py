"""A real terminal: typed words, Markdown, the lines of earlier sessions."""

import os
import pty
import re
import select
import struct
import sys
import termios
import time
from fcntl import ioctl
from pathlib import Path

from tuneglm.demo import MODEL_FOLDER

WORDS = ("--temperature", "0", "--max-new-tokens", "12", "--device", "cpu", "--dtype", "float32")
SECONDS = 90.0


class Terminal:
    """A program at a terminal of so many columns."""

    def __init__(self, cache: Path, columns: int, *words: str) -> None:
        self.process, self.descriptor = pty.fork()
        if self.process == 0:
            os.environ |= {"XDG_CACHE_HOME": str(cache), "TERM": "xterm-256color"}
            os.execv(sys.executable, [sys.executable, "-m", "tuneglm", *words])
        ioctl(self.descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
        self.shown = ""

    def wait_for(self, text: str) -> None:
        """Until it is there; what it asks of a terminal is answered."""
        until = time.monotonic() + SECONDS
        while text not in self.shown:
            assert time.monotonic() < until, self.shown
            if select.select([self.descriptor], [], [], 0.2)[0]:
                try:
                    data = os.read(self.descriptor, 65536)
                except OSError:
                    data = b""
                if b"\x1b[6n" in data:
                    os.write(self.descriptor, b"\x1b[1;1R")
                assert data, self.shown
                # in colour each word is apart
                self.shown += re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", data.decode("utf-8", "replace"))

    def type(self, text: str) -> None:
        """And Enter."""
        self.shown = ""
        os.write(self.descriptor, f"{text}\r".encode())

    def end(self) -> int:
        """Type /quit, and say with what it ended."""
        self.type("/quit")
        return os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])


def test_a_conversation_at_a_terminal(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, 80, "chat", str(MODEL_FOLDER), *WORDS)
    terminal.wait_for("Ctrl-C ends an answer")
    terminal.type("你是谁？")
    terminal.wait_for("我是小")
    terminal.type("/help")
    terminal.wait_for("end; so does Ctrl-D")
    terminal.type("/tokens")
    terminal.wait_for("of 512 that the model reads")
    assert terminal.end() == 0
    history = tmp_path / "tuneglm" / "chat_history"
    assert "你是谁？" in history.read_text("utf-8")
    assert history.stat().st_mode & 0o077 == 0

    again = Terminal(tmp_path, 80, "chat", str(MODEL_FOLDER), *WORDS)
    again.wait_for("Ctrl-C ends an answer")
    # up, past /quit, /tokens and /help
    again.type("\x1b[A" * 4)
    again.wait_for("我是小")
    assert again.end() == 0


def test_a_cache_that_cannot_be_written_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "tuneglm").write_text("a file where the folder should be")
    terminal = Terminal(tmp_path, 160, "chat", str(MODEL_FOLDER), *WORDS)
    terminal.wait_for("Ctrl-C ends an answer")
    terminal.type("你是谁？")
    terminal.wait_for("我是小")
    # whether it is still being drawn or the next question is awaited
    os.write(terminal.descriptor, b"\x03")
    terminal.type("/set")
    terminal.wait_for("repetition_penalty")
    assert terminal.end() == 0
