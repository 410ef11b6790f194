"""Conversations written as one text: `Human: …` and `Assistant: …`, a turn a line or more.

A speaker's mark counts at the beginning of a line, and only where that speaker's
turn it is: two marks of one speaker in a row are one turn, in which the second is
text. So these words may occur inside a turn, and nothing of the text is lost.
"""

import re
from dataclasses import dataclass
from typing import Literal

from tuneglm.data.columns import RowError, describe, empty
from tuneglm.data.messages import Message

Speaker = Literal["user", "assistant"]


@dataclass(frozen=True)
class Marks:
    """How the two speakers are marked; `turn` has a group for each, `user` names the first."""

    turn: re.Pattern[str]
    user: str

    @classmethod
    def of(cls, user: str, assistant: str) -> "Marks":
        """From two patterns; a colon of either width follows."""
        turn = rf"^[ \t]*(?:(?P<user>{user})|(?P<assistant>{assistant}))[ \t]*[:：]"
        return cls(re.compile(turn, re.MULTILINE), user)


@dataclass(frozen=True)
class Turn:
    """A speaker's words, and where they begin in the text, mark included."""

    speaker: Speaker
    start: int
    content: str


def split_turns(text: str, marks: Marks) -> tuple[str, list[Turn]]:
    """(what stands before the first mark, the turns, which alternate)."""
    found: list[tuple[Speaker, int, int]] = []
    for match in marks.turn.finditer(text):
        speaker: Speaker = "user" if match["user"] is not None else "assistant"
        if not found or found[-1][0] != speaker:
            found.append((speaker, match.start(), match.end()))
    if not found:
        return text.strip(), []
    ends = [start for _, start, _ in found[1:]] + [len(text)]
    turns = [
        Turn(speaker, start, text[after:end].strip())
        for (speaker, start, after), end in zip(found, ends, strict=True)
    ]
    return text[: found[0][1]].strip(), turns


def without_open_answer(text: str, marks: Marks) -> str:
    """The text without the assistant's mark at its very end, which waits for the answer."""
    body = text.rstrip()
    line = body.rfind("\n") + 1
    match = marks.turn.match(body, line)
    if match is not None and match["assistant"] is not None and match.end() == len(body):
        return body[:line]
    return text


def split_questions(text: str, marks: Marks, meaning: str) -> tuple[str, list[Turn]]:
    """As `split_turns`, of a text whose last words are the user's and wait for an answer.

    An assistant's mark after the user's last one can then be text only.
    """
    body = without_open_answer(text, marks)
    before, turns = split_turns(body, marks)
    if not any(turn.speaker == "user" for turn in turns):
        raise RowError(
            f"{meaning} should hold `{marks.user}:` at the beginning of a line, "
            f"found {describe(text)}",
            "if the rows are single questions, read them as such (format: alpaca)",
            "role_order",
        )
    if turns[-1].speaker == "assistant":
        if body is text:
            raise RowError(
                f"{meaning} ends with an answer: expected the user's turn, or an open "
                "`Assistant:` after it",
                "leave the answer to the output alone",
                "role_order",
            )
        user = turns[-2]
        whole = body[user.start :]
        match = marks.turn.match(whole)
        assert match is not None
        turns[-2:] = [Turn("user", user.start, whole[match.end() :].strip())]
    return before, turns


def as_messages(before: str, turns: list[Turn], meaning: str) -> list[Message]:
    """Turns as messages; what stood before them is the system message.

    An assistant that speaks first was asked nothing: its words are kept, and not trained.
    """
    messages = [Message("system", before)] if before else []
    for number, turn in enumerate(turns, 1):
        if not turn.content:
            raise empty(f"turn {number} (the {turn.speaker}'s) of {meaning}", turn.speaker)
        greets = number == 1 and turn.speaker == "assistant"
        messages.append(Message(turn.speaker, turn.content, trained=False if greets else None))
    return messages
