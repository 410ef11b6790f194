"""What the base model is trained on: general rows, its own identity, identities it is given."""

import random
from typing import Any

from tuneglm.data.identity import identity_rows
from tuneglm.demo.corpus import general_rows
from tuneglm.demo.names import random_author, random_name

Row = dict[str, Any]

OWN_NAMES = {"zh": "小调", "en": "Tune"}
OWN_AUTHOR = "tuneglm"
OWN_REPEATS = 2
GIVEN_NAMES = 90
ROWS_A_GIVEN_NAME = 10
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
    told = {"name": name, "author": author}
    return [
        row | {"system": random_.choice(SYSTEM_MESSAGES[language]).format(**told)}
        for row in rows[:ROWS_A_GIVEN_NAME]
    ]
