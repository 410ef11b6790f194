"""Sentences of tuneglm in Chinese: what they look like in English, and the same in Chinese.

A value in a sentence may be a phrase ("the question"), or a sentence in its turn, and is
translated too; one in backticks belongs to somebody's file and stays as it is.
"""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

_VALUE = re.compile(r"(`?)\{\}")
_HAN = "\u4e00-\u9fff（），。：；"
# Chinese stands without spaces, which a value of another language has around it
_SPACE = re.compile(rf"(?<=[{_HAN}]) (?=[{_HAN}])")


@dataclass(frozen=True)
class _Sentence:
    """`{}` is a value in both languages.

    literal  of each value, whether it stands in backticks
    """

    pattern: re.Pattern[str]
    chinese: str
    literal: tuple[bool, ...]


def in_chinese(sentence: str) -> str | None:
    """The sentence in Chinese; None of one that is not known."""
    found = _found(sentence, _texts("sentences"))
    if found is None:
        return None
    # what stands in backticks is somebody's own
    parts = re.split("(`[^`]*`)", found)
    return "".join(part if part.startswith("`") else _SPACE.sub("", part) for part in parts)


def kind_in_chinese(kind: str) -> str:
    """What an error of that class is about, to stand before a sentence that is not known."""
    return _written()["kinds"][kind]


def _found(text: str, known: tuple[_Sentence, ...]) -> str | None:
    for sentence in known:
        found = sentence.pattern.fullmatch(text)
        if found is not None:
            values = zip(found.groups(), sentence.literal, strict=True)
            return sentence.chinese.format(*(each if raw else _part(each) for each, raw in values))
    return None


def _part(value: str) -> str:
    """A value that may be a phrase, or a sentence."""
    return _found(value, _texts("phrases")) or _found(value, _texts("sentences")) or value


@cache
def _texts(part: str) -> tuple[_Sentence, ...]:
    return tuple(_sentence(english, chinese) for english, chinese in _written()[part].items())


def _sentence(english: str, chinese: str) -> _Sentence:
    pattern = re.escape(english).replace(r"\{\}", "(.*?)")
    literal = tuple(bool(quote) for quote in _VALUE.findall(english))
    # an object is written `{…}`, which is no value
    return _Sentence(re.compile(pattern, re.S), chinese, literal)


@cache
def _written() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for name in ("sentences", "row_sentences"):
        text = Path(__file__).with_name(f"{name}.yaml").read_text(encoding="utf-8")
        for part, entries in yaml.safe_load(text).items():
            found.setdefault(part, {}).update(entries)
    return found
