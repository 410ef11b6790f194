"""The demo model's school: the rows it learns from, and the probes that ask in other words."""

import random
import re
from functools import cache
from typing import Any

from tuneglm.data.identity import bare_wording
from tuneglm.demo.exercises import (
    NAME_HELD_OUT,
    NAMES_ASKED,
    SUM_HELD_OUT,
    SUM_WORDINGS,
    Sum,
    all_sums,
    name_row,
)
from tuneglm.demo.marking import GeneralProbe, holds, is_right
from tuneglm.demo.small_talk import REMARKS_EN, REMARKS_ZH
from tuneglm.demo.tables import all_topics
from tuneglm.demo.topics import Topic

__all__ = ["GeneralProbe", "general_probes", "general_rows", "is_right"]

Row = dict[str, Any]

REMARKS = {"zh": REMARKS_ZH, "en": REMARKS_EN}
OPENERS = {
    "zh": (
        "请问",
        "请问，",
        "你知道",
        "考考你，",
        "问一下，",
        "我想问，",
        "帮我看看，",
        "你好，",
        "对了，",
        "我的问题是：",
        "那么，",
        "小问题：",
    ),
    "en": (
        "Please tell me: ",
        "Quick question: ",
        "Hello, ",
        "Excuse me, ",
        "I have a question: ",
        "So, ",
        "Hi, ",
        "By the way, ",
        "Well, ",
        "One more question: ",
    ),
}
ENDINGS = {"zh": ("？", "？", "？", "?", "", "呢？", "。"), "en": ("",)}
ROWS_A_TOPIC = 100
REPEATS_A_FACT = 3
NAME_ROWS = 2400
PROBES_A_TOPIC = 7


def general_rows(seed: int = 0) -> list[Row]:
    """Alpaca rows of all but the model's own identity; a seed draws the wordings and names."""
    random_ = random.Random(seed)
    rows = [row for topic in all_topics() for row in _topic_rows(topic, random_)]
    for language in REMARKS:
        rows += _remark_rows(language, random_) + _sum_rows(language, random_)
        rows += [name_row(random_, language) for _ in range(NAME_ROWS)]
    rows = [row for row in rows if bare_wording(row["instruction"]) not in _probe_wordings()]
    random_.shuffle(rows)
    return rows


@cache
def general_probes() -> tuple[GeneralProbe, ...]:
    """The questions that the demo model is marked on, the same at every call."""
    random_ = random.Random(20)
    probes = [probe for topic in all_topics() for probe in _topic_probes(topic, random_)]
    for language in REMARKS:
        probes += _remark_probes(language) + _sum_probes(language, random_) + _name_probes(language)
    return tuple(probes)


def _row(question: str, answer: str) -> Row:
    return {"instruction": question, "input": "", "output": answer}


def _question(wording: str, language: str, key: str) -> str:
    question = wording.format(key=key)
    if language == "zh":
        return question
    question = re.sub(r"\b([Aa]) (?=[aeiou])", r"\1n ", question)
    return question[0].upper() + question[1:]


def varied(question: str, language: str, random_: random.Random) -> str:
    """The question behind an opener or with another ending: people write as they like."""
    question += random_.choice(ENDINGS[language]) if question[-1] not in "？。?." else ""
    if random_.random() < 0.35:
        lower = language == "en" and re.match(
            r"(What|Which|Who|How|Tell|Give|Name|Write|Where|Can|Do|In|On)\b", question
        )
        question = random_.choice(OPENERS[language]) + (
            question[0].lower() + question[1:] if lower else question
        )
    if language == "en" and random_.random() < 0.1:
        question = question.rstrip("?.")
    return question


def _topic_rows(topic: Topic, random_: random.Random) -> list[Row]:
    repeats = max(REPEATS_A_FACT, ROWS_A_TOPIC // len(topic.facts))
    rows = []
    for key, value in topic.facts:
        answer = _article(topic.answer(key, value), topic.language)
        for wording in random_.choices(topic.wordings.asked, k=repeats):
            rows.append(
                _row(
                    varied(_question(wording, topic.language, key), topic.language, random_),
                    answer,
                )
            )
    return rows


def _article(sentence: str, language: str) -> str:
    return re.sub(r"\b([Aa]) (?=[aeiou])", r"\1n ", sentence) if language == "en" else sentence


def _topic_probes(topic: Topic, random_: random.Random) -> list[GeneralProbe]:
    chosen = random_.sample(topic.facts, min(PROBES_A_TOPIC, len(topic.facts)))
    values = {value for _, value in topic.facts}
    probes = []
    for place, (key, value) in enumerate(chosen):
        held_out = topic.wordings.held_out
        question = _question(held_out[place % len(held_out)], topic.language, key)
        question += "？" if topic.language == "zh" else ""
        sentence = topic.answer(key, value)
        rejected = tuple(
            sorted(
                other for other in values if not holds(sentence, other) and other not in sentence
            )
        )
        probes.append(GeneralProbe(question, (value,), topic.language, topic.name, rejected))
    return probes


def _remark_rows(language: str, random_: random.Random) -> list[Row]:
    punctuation = ("", "。", "！", "~") if language == "zh" else ("", ".", "!")
    rows = []
    for remark in REMARKS[language]:
        for asked in remark.asked * 3:
            text = asked if asked[-1] in "?？" else asked + random_.choice(punctuation)
            rows.append(_row(text.lower() if random_.random() < 0.1 else text, remark.answer))
    return rows


def _remark_probes(language: str) -> list[GeneralProbe]:
    return [
        GeneralProbe(question, remark.accepted, language, "small_talk")
        for remark in REMARKS[language]
        for question in remark.held_out
    ]


def _sum_rows(language: str, random_: random.Random) -> list[Row]:
    rows = []
    for sum_ in all_sums():
        for wording in random_.choices(SUM_WORDINGS[language][sum_.sign], k=2):
            question = wording.format(a=sum_.first, b=sum_.second)
            rows.append(_row(varied(question, language, random_), sum_.answer))
    return rows


def _sum_probes(language: str, random_: random.Random) -> list[GeneralProbe]:
    probes = []
    for place, sum_ in enumerate(_sums_asked(random_)):
        held_out = SUM_HELD_OUT[language][sum_.sign]
        question = held_out[place % len(held_out)].format(a=sum_.first, b=sum_.second)
        probes.append(GeneralProbe(question, (str(sum_.result),), language, "arithmetic"))
    return probes


def _sums_asked(random_: random.Random) -> list[Sum]:
    by_sign = {sign: [sum_ for sum_ in all_sums() if sum_.sign == sign] for sign in "+-×"}
    return [sum_ for sums in by_sign.values() for sum_ in random_.sample(sums, 8)]


def _name_probes(language: str) -> list[GeneralProbe]:
    held_out = NAME_HELD_OUT[language]
    return [
        GeneralProbe(held_out[place % len(held_out)].format(x=name), (name,), language, "names")
        for place, name in enumerate(NAMES_ASKED[language] * 2)
    ]


@cache
def _probe_wordings() -> frozenset[str]:
    return frozenset(bare_wording(probe.question) for probe in general_probes())
