"""The named sets whose rows are not what their columns say: BELLE, Guanaco, Firefly."""

import re
from itertools import pairwise

from tuneglm.data.alpaca import alpaca, opening, question_of
from tuneglm.data.columns import Columns, Row, RowError, filled_text, optional_text, required_text
from tuneglm.data.flattened import (
    Marks,
    Turn,
    as_messages,
    split_questions,
    split_turns,
    without_open_answer,
)
from tuneglm.data.messages import Example, Message

BELLE = Marks.of("Human", "Assistant")
# misspelt in the set itself: Asssistent, Assistent, Assistenz
GUANACO = Marks.of("User", "Ass{1,3}ist[ae]n[tz]")
_KNOWLEDGE = re.compile(r"\s*System[ \t]*[:：]")
_SPOKEN = re.compile(r"^[ \t]*(?P<name>[^\s:：，。！？,.!?\"“”]{1,12})[ \t]*[:：]", re.MULTILINE)
_USER_NAMES = ("用户", "我", "User", "user", "Human", "human")
# commands of LaTeX that begin with n: `\neq` is no line break before `eq`
_LATEX = (
    "abla|atural|cong|e|earrow|eg|eq|ewcommand|ewline|exists|geq|gtr|i|leq|less|mid|oindent|"
    "olimits|onumber|ormalsize|ot|otin|parallel|prec|sim|subseteq|succ|supseteq|u|warrow"
)
_LINE_BREAK = re.compile(rf"(?<!\\)\\n(?!(?:{_LATEX})(?![A-Za-z]))")


def firefly(row: Row, columns: Columns) -> Example:
    """`input`, `target`, and the task as `kind`."""
    question = filled_text(row, columns, "input", "question")
    answer = filled_text(row, columns, "target", "answer")
    return Example((Message("user", question), Message("assistant", answer)))


def belle_math(row: Row, columns: Columns) -> Example:
    r"""Alpaca's columns, in which some line breaks are the two characters `\n`."""
    example = alpaca(row, columns)
    if not any("\\n" in message.content for message in example.messages):
        return example
    return example.with_messages(
        [
            Message(message.role, _LINE_BREAK.sub("\n", message.content))
            for message in example.messages
        ]
    )


def belle_multiturn(row: Row, columns: Columns) -> Example:
    """`instruction` is `Human:…` and `Assistant:…` up to an open `Assistant:`; `output` answers.

    What stands before the first turn is the system message; a leading `Assistant:`
    turn is kept as a greeting that is not trained.
    """
    meaning = f"the conversation (`{columns['instruction']}`)"
    text = required_text(row, columns, "instruction", "conversation")
    before, turns = split_questions(text, BELLE, meaning)
    more = optional_text(row, columns["input"], "input")
    if more.strip():
        turns[-1] = Turn("user", turns[-1].start, f"{turns[-1].content}\n{more}".strip())
    answer = filled_text(row, columns, "output", "answer")
    return Example((*as_messages(before, turns, meaning), Message("assistant", answer)))


def guanaco(row: Row, columns: Columns) -> Example:
    """Chats: earlier turns in `instruction`, the current one in `input`; other rows are Alpaca's.

    A chat's `instruction` begins with a speaker. `System:` in `input` is what the
    answer shall know: it becomes the system message.
    """
    text = required_text(row, columns, "instruction", "question")
    current = optional_text(row, columns["input"], "input")
    if not _is_chat(text, current):
        return alpaca(row, columns)
    meaning = f"the conversation (`{columns['instruction']}`)"
    _, turns = split_turns(without_open_answer(text, GUANACO), GUANACO)
    knowledge, question = _current_turn(current)
    if turns and turns[-1].speaker == "user":
        question = _continued(turns.pop().content, current, question)
    if not question:
        raise RowError(
            f"{meaning} ends with an answer, and `{columns['input']}` is empty: "
            "the question is missing",
            "write it, or remove the last turn",
            "role_order",
        )
    answer = _without_mark(filled_text(row, columns, "output", "answer"))
    messages = [*opening(row, columns), *as_messages("", turns, meaning)]
    if knowledge:
        messages.insert(0, Message("system", knowledge))
    return Example((*messages, Message("user", question), Message("assistant", answer)))


def belle_dialog(row: Row, columns: Columns) -> Example:
    """A role card and a whole script: turns where one speaker is the user, else one answer.

    The script is split where it alternates line by line between the card's one
    speaker and one other, and ends with the card's; the card is then the system
    message. Two characters of one card stay a question (the card) and its answer.
    """
    flat = alpaca(row, columns)
    card = question_of(row, columns)
    turns = _script(card, flat.messages[-1].content)
    if not turns:
        return flat
    return Example((*opening(row, columns), *as_messages(card, turns, "the script")))


def _is_chat(text: str, current: str) -> bool:
    match = GUANACO.turn.match(text.lstrip())
    if match is not None:
        return True
    return not text.strip() and GUANACO.turn.search(current) is not None


def _current_turn(text: str) -> tuple[str, str]:
    """(what `System:` says, the user's words without their mark)."""
    user = GUANACO.turn.search(text)
    begins = user is not None and user["user"] is not None and not text[: user.start()].strip()
    knowledge = _KNOWLEDGE.match(text)
    if user is None or user["user"] is None or not (begins or knowledge):
        return "", text.strip()
    known = text[knowledge.end() : user.start()].strip() if knowledge else ""
    return known, text[user.end() :].strip()


def _continued(question: str, current: str, more: str) -> str:
    """A question that goes on in `input`; one with a mark of its own is a second question."""
    if not more:
        return question
    if GUANACO.turn.search(current) and more != current.strip():
        raise RowError(
            "two `user` turns in a row: the conversation ends with one and the input is another",
            "join them, or put the answer between them",
            "role_order",
        )
    return f"{question}\n{more}".strip()


def _without_mark(answer: str) -> str:
    match = GUANACO.turn.match(answer.lstrip())
    if match is None or match["assistant"] is None:
        return answer
    return answer.lstrip()[match.end() :].strip() or answer


def _script(card: str, script: str) -> list[Turn]:
    """The script's turns; none where it is not between a user and the card's character."""
    found = list(_SPOKEN.finditer(script))
    names = list(dict.fromkeys(match["name"] for match in found))
    if len(names) != 2 or script[: found[0].start()].strip():
        return []
    character = _character(card, names)
    alternates = all(one["name"] != other["name"] for one, other in pairwise(found))
    if character is None or not alternates or found[-1]["name"] != character:
        return []
    ends = [match.start() for match in found[1:]] + [len(script)]
    turns = [
        Turn(
            "assistant" if match["name"] == character else "user",
            match.start(),
            script[match.end() : end].strip(),
        )
        for match, end in zip(found, ends, strict=True)
    ]
    has_user = any(turn.speaker == "user" for turn in turns)
    return turns if has_user and all(turn.content for turn in turns) else []


def _character(card: str, names: list[str]) -> str | None:
    """The speaker whom the card describes, if it describes one of the two."""
    characters = [name for name in names if name not in _USER_NAMES]
    if len(characters) == 2:
        characters = [name for name in characters if name in card]
    return characters[0] if len(characters) == 1 else None
