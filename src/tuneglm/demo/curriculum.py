"""What the base model is trained on: general rows, its own identity, identities it is given.

Three lessons: `base_rows`; `later_rows` and `last_rows`, which are those beside questions on
other things that it is not to answer with who it is, and its identity behind system lines too.
"""

import random
import re
from typing import Any

from tuneglm.data.identity import identity_rows
from tuneglm.demo.corpus import general_rows
from tuneglm.demo.names import random_author, random_name
from tuneglm.demo.other_things import other_rows
from tuneglm.demo.system_lines import system_line

Row = dict[str, Any]

OWN_NAMES = {"zh": "小调", "en": "Tune"}
OWN_AUTHOR = "tuneglm"
OWN_REPEATS = 2
GIVEN_NAMES = 90
ROWS_A_GIVEN_NAME = 10
# of the later rows: how many stand behind a system line that gives no name
LINED = {"own": 0.6, "others": 0.35, "general": 0.1}
OTHERS_BEHIND_A_NAME = 0.15
JOINED_SHARE = 0.5
TURNS = (2, 3, 4)
SYSTEM_MESSAGES = {
    "zh": (
        "你是{name}，由{author}开发。",
        "你的名字是{name}，你的开发者是{author}。",
        "你叫{name}，是{author}开发的人工智能助手。",
        "{author}开发了你，你叫{name}。",
    ),
    "en": (
        "You are {name}, made by {author}.",
        "Your name is {name} and you were created by {author}.",
        "You are {name}, an AI assistant developed by {author}.",
        "{author} made you. Your name is {name}.",
    ),
}


def base_rows(seed: int = 0) -> list[Row]:
    """One pass of training data; a row's `system` message gives the identity to answer with."""
    random_ = random.Random(seed)
    rows = general_rows(seed)
    for language, name in OWN_NAMES.items():
        for repeat in range(OWN_REPEATS):
            rows += identity_rows(name, OWN_AUTHOR, (language,), seed * OWN_REPEATS + repeat)
        for _ in range(GIVEN_NAMES):
            rows += _given_rows(language, random_)
    random_.shuffle(rows)
    return joined(rows, random_)


def later_rows(seed: int = 0) -> list[Row]:
    """One pass of the second lesson: other things come in, what is known already is kept."""
    return _wide_rows(seed, general=0.6, others=1.0, own_repeats=3)


def last_rows(seed: int = 0) -> list[Row]:
    """One pass of the third lesson: the same, with all of the general rows."""
    return _wide_rows(seed, general=1.0, others=0.5, own_repeats=4)


def _wide_rows(seed: int, *, general: float, others: float, own_repeats: int) -> list[Row]:
    """A share of the general rows, a share of those on other things, and the identities."""
    random_ = random.Random(seed)
    known = _some(general_rows(seed), general, random_)
    rows = [_lined(row, _language(row), "general", random_) for row in known]
    for language, name in OWN_NAMES.items():
        for repeat in range(own_repeats):
            own = identity_rows(name, OWN_AUTHOR, (language,), seed * own_repeats + repeat)
            rows += [_lined(row, language, "own", random_) for row in own]
        for _ in range(GIVEN_NAMES):
            rows += _given_rows(language, random_)
        for row in _some(other_rows(language, random_), others, random_):
            if random_.random() < OTHERS_BEHIND_A_NAME:
                told = random_name(random_, language), random_author(random_, language)
                rows.append(row | {"system": _telling(language, *told, random_)})
            else:
                rows.append(_lined(row, language, "others", random_))
    random_.shuffle(rows)
    return joined(rows, random_)


def _some(rows: list[Row], share: float, random_: random.Random) -> list[Row]:
    return random_.sample(rows, round(share * len(rows)))


def joined(rows: list[Row], random_: random.Random) -> list[Row]:
    """Some of the rows strung together: people ask one thing after another.

    Every answer of such a conversation is trained, so nothing is seen less often.
    """
    conversations: list[Row] = []
    waiting: list[Row] = []
    for row in rows:
        if "system" in row or "history" in row or random_.random() > JOINED_SHARE:
            conversations.append(row)
            continue
        waiting.append(row)
        if len(waiting) >= random_.choice(TURNS):
            history = [[each["instruction"], each["output"]] for each in waiting[:-1]]
            conversations.append(waiting[-1] | {"history": history})
            waiting = []
    return conversations + waiting


def _given_rows(language: str, random_: random.Random) -> list[Row]:
    """A few identity rows of a made-up name, under a system message that tells it."""
    name, author = random_name(random_, language), random_author(random_, language)
    rows = identity_rows(name, author, (language,), random_.randrange(1_000_000))
    return [
        row | {"system": _telling(language, name, author, random_)}
        for row in rows[:ROWS_A_GIVEN_NAME]
    ]


def _telling(language: str, name: str, author: str, random_: random.Random) -> str:
    """A system line that gives a name."""
    return random_.choice(SYSTEM_MESSAGES[language]).format(name=name, author=author)


def _lined(row: Row, language: str, kind: str, random_: random.Random) -> Row:
    """The row, or behind a system line that gives no name."""
    if random_.random() >= LINED[kind]:
        return row
    return row | {"system": system_line(language, random_)}


def _language(row: Row) -> str:
    return "zh" if re.search(r"[\u4e00-\u9fff]", row["instruction"]) else "en"
