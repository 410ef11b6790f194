"""Markdown at a terminal: each block once, whatever pieces it comes in, and nothing lost."""

import io

import pytest
from rich.console import Console

from tuneglm.chat.markdown import StreamedMarkdown, finished, rendered
from tuneglm.chat.screen import Screen
from tuneglm.chat.turns import BesideTurn, PlainTurn, StackedTurn

ANSWER = """# 标题

你好！**bold**, `a <b> c`, and <user> tags.
A second line.

1. first

2. second

```python
def f(n):

    return n < 2
```

| a | b |
|---|---|
| 1 | 2 |

last
"""


def terminal(width: int = 80, height: int = 25) -> Console:
    return Console(
        file=io.StringIO(), force_terminal=True, width=width, height=height, color_system=None
    )


def printed(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def screen_of(text: str, height: int) -> list[str]:
    """What a terminal shows in the end, of what rich writes: lines, and lines taken back."""
    lines, at, column = [""], 0, 0
    place = 0
    while place < len(text):
        if text.startswith("\x1b[", place):
            end = place + 2
            while not text[end].isalpha():
                end += 1
            count = int(text[place + 2 : end].strip("?") or 1)
            if text[end] == "A":
                assert count < height
                at -= count
            elif text[end] == "K":
                lines[at] = ""
            place = end + 1
            continue
        sign = text[place]
        place += 1
        if sign == "\n":
            at, column = at + 1, 0
            if at == len(lines):
                lines.append("")
        elif sign == "\r":
            column = 0
        else:
            lines[at] = lines[at][:column].ljust(column) + sign + lines[at][column + 1 :]
            column += 1
    return [line.rstrip() for line in lines]


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
@pytest.mark.parametrize("height", [6, 25])
def test_the_end_is_the_same_whatever_the_pieces(
    size: int, height: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tuneglm.chat.markdown.REDRAWN", 0.0)
    console = terminal(height=height)
    answer = StreamedMarkdown(console)
    for place in range(0, len(ANSWER), size):
        answer.write(ANSWER[place : place + size])
    answer.close()
    shown = [line for line in screen_of(printed(console), height) if line.strip()]
    whole = terminal(height=height)
    whole.print(rendered(ANSWER))
    assert shown == [line.rstrip() for line in printed(whole).splitlines() if line.strip()]
    text = "\n".join(shown)
    for part in ("a <b> c", "<user> tags.", "A second line.", "return n < 2", "last"):
        assert text.count(part) == 1


def test_lines_stay_lines_and_code_stays_code() -> None:
    console = terminal()
    console.print(rendered("one\ntwo\n\n```\na  <b>\n\nc\n```"))
    lines = [line.strip() for line in printed(console).splitlines()]
    assert lines[:2] == ["one", "two"]
    assert "a  <b>" in lines and "c" in lines


def test_what_a_terminal_would_obey_is_not_written() -> None:
    console = terminal()
    answer = StreamedMarkdown(console)
    answer.write("red \x1b[31mand \x07bell\x9b2J")
    answer.close()
    assert "\x1b[31m" not in printed(console)
    assert "\x07" not in printed(console) and "\x9b" not in printed(console)


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("one\n\ntwo", "two"),
        ("one\ntwo", "one\ntwo"),
        ("one\n\n  indented", "one\n\n  indented"),
        ("```\na\n\nb", "```\na\n\nb"),
        ("```\na\n\nb\n```\n\nc", "c"),
        ("one\n\n", "one\n\n"),
    ],
)
def test_what_may_still_change_is_kept(text: str, rest: str) -> None:
    assert text[finished(text) :] == rest


def test_a_pipe_gets_plain_text_whatever_is_said_of_colours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    output = io.StringIO()
    screen = Screen(output)
    turn = screen.turn(["a"])
    turn.begin(0)
    turn.write("**bold** <b>\x1b[0m")
    turn.end()
    screen.say("said")
    screen.table([("a", "b")])
    assert output.getvalue() == "**bold** <b>\x1b[0m\nsaid\na  b\n"


def test_wide_terminals_show_columns_and_narrow_ones_do_not() -> None:
    screen = Screen(io.StringIO())
    assert isinstance(screen.turn(["a", "b"]), PlainTurn)
    screen.is_terminal = True
    for width, kind in ((40, StackedTurn), (99, StackedTurn), (160, BesideTurn)):
        screen.console = terminal(width)
        turn = screen.turn(["a", "b"])
        for place in (0, 1):
            turn.begin(place)
            turn.write(f"answer {place}")
            turn.end("stopped" * place)
        turn.close()
        assert isinstance(turn, kind)
        text = "\n".join(screen_of(printed(screen.console), 25))
        beside = any("answer 0" in line and "answer 1" in line for line in text.splitlines())
        assert beside == (kind is BesideTurn)
        assert text.count("answer 0") == text.count("answer 1") == text.count("stopped") == 1
