"""Markdown at a terminal while it comes: finished blocks are printed once and for all, and
only the last one, which may still change, is drawn anew. So nothing flickers or stands twice,
however long the answer is.
"""

import re
import time
from collections.abc import Iterator

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.live import Live
from rich.markdown import Markdown
from rich.segment import Segment

REDRAWN = 0.08  # seconds between two drawings
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_CODE_SPAN = re.compile(r"((?<!`)(`+)(?!`).+?(?<!`)\2(?!`))", re.S)
# what a terminal would obey
_CONTROL = dict.fromkeys([*range(9), *range(11, 32), *range(127, 160)])
_ROW = re.compile(r"\s*\|")


class StreamedMarkdown:
    """An answer of which piece after piece comes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._text = ""
        self._drawn = 0.0
        self._has_blocks = False
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._live.start()

    def write(self, piece: str) -> None:
        """Show one more piece."""
        self._text += printable(piece)
        end = finished(self._text)
        if end:
            self._print(self._text[:end])
            self._text = self._text[end:]
        now = time.monotonic()
        if end or now - self._drawn >= REDRAWN:
            self._drawn = now
            self._live.update(LastLines(rendered(self._text), self._console), refresh=True)

    def close(self) -> None:
        """Print what is left; the terminal is as before."""
        self._live.update("")
        self._live.stop()
        if self._text.strip():
            self._print(self._text)
        self._text = ""

    def _print(self, text: str) -> None:
        # above what is drawn anew
        self._live.update("", refresh=True)
        if self._has_blocks:
            self._console.print()
        self._console.print(rendered(text))
        self._has_blocks = True


class LastLines:
    """As much of the end of something as a terminal shows."""

    def __init__(self, renderable: RenderableType, console: Console) -> None:
        self._renderable = renderable
        self._count = max(1, console.height - 2)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The lines, with nothing behind the last."""
        options = options.update(height=None)
        lines = console.render_lines(self._renderable, options, pad=False)[-self._count :]
        for number, line in enumerate(lines):
            if number:
                yield Segment.line()
            yield from line


def rendered(text: str) -> Markdown:
    """Text as Markdown of which nothing is lost: line ends and what looks like HTML stay."""
    return Markdown("".join(_lines(text)).strip("\n"), code_theme="ansi_dark", hyperlinks=False)


def printable(text: str) -> str:
    """Without what a terminal would obey."""
    return text.translate(_CONTROL)


def finished(text: str) -> int:
    """Where the last block begins; no later text changes what stands before it."""
    end, place, fence, is_after_blank = 0, 0, "", False
    for line in text.splitlines(keepends=True):
        mark = _FENCE.match(line)
        if fence:
            fence = "" if mark and line.strip().startswith(fence) else fence
        elif not line.strip():
            is_after_blank = is_after_blank or line.endswith("\n")
        else:
            if is_after_blank and not line[0].isspace():
                end = place
            is_after_blank = False
            fence = mark[1] if mark else ""
        place += len(line)
    return end


def _lines(text: str) -> Iterator[str]:
    """Each line with the end that Markdown needs to keep it; `<` outside of code is a sign."""
    fence = ""
    lines = text.splitlines()
    for number, line in enumerate(lines):
        mark = _FENCE.match(line)
        if fence:
            yield line + "\n"
            fence = "" if mark and line.strip().startswith(fence) else fence
            continue
        fence = mark[1] if mark else ""
        following = lines[number + 1] if number + 1 < len(lines) else ""
        is_text = line.strip() and following.strip() and not mark
        keeps = is_text and not _ROW.match(line) and not _FENCE.match(following)
        yield _with_signs(line) + ("  \n" if keeps else "\n")


def _with_signs(line: str) -> str:
    parts = _CODE_SPAN.split(line)
    # each span is followed by its own marks, which it holds already
    return "".join(
        part.replace("<", "\\<") if place % 3 == 0 else part * (place % 3 == 1)
        for place, part in enumerate(parts)
    )
