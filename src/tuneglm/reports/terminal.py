"""The terminal, and words as it should show them."""

import re
import shlex
import shutil
import sys
from contextlib import suppress
from pathlib import Path

from rich.console import Console


def command(*words: object) -> str:
    """A tuneglm command as it can be typed here: the program need not be on the path."""
    program = Path(sys.executable).with_name("tuneglm")
    if shutil.which("tuneglm") is None and program.exists():
        words = (_as_seen_from_here(program), *words)
    else:
        words = ("tuneglm", *words)
    return " ".join(
        text if re.fullmatch(r"[\w./-]+", text) else shlex.quote(text) for text in map(str, words)
    )


def _as_seen_from_here(program: Path) -> Path:
    """Its shortest name; the folder that one is in may be gone when a long run ends."""
    with suppress(OSError):
        here = Path.cwd()
        return program.relative_to(here) if program.is_relative_to(here) else program
    return program


def console(*, stderr: bool = False) -> Console:
    """The terminal, or what stands in its place; `stderr` where another program reads stdout."""
    return Console(highlight=False, soft_wrap=True, stderr=stderr)


def plain(text: str) -> str:
    """Text that rich prints as it is."""
    return text.replace("[", r"\[")


def rows_of(count: int) -> str:
    """So many rows, in words."""
    return f"{count:,} row{'' if count == 1 else 's'}"
