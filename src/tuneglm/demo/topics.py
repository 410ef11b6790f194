"""What a topic is: a table of (key, value) facts, and wordings that ask for them in a language."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Wordings:
    """How a topic is asked in one language; `{key}` and `{value}` are a fact's two columns."""

    asked: tuple[str, ...]
    """Questions that the rows use."""
    held_out: tuple[str, ...]
    """Questions that only the probes use."""
    answer: str
    """The answer repeats the key, so that a fact is recalled from one form however it was asked."""


@dataclass(frozen=True)
class Topic:
    """A table of facts with its wordings."""

    name: str
    language: str
    facts: tuple[tuple[str, str], ...]
    wordings: Wordings

    def answer(self, key: str, value: str) -> str:
        """The sentence that answers the question for `key`."""
        sentence = self.wordings.answer.format(key=key, value=value)
        return sentence[0].upper() + sentence[1:] if self.language == "en" else sentence


@dataclass(frozen=True)
class Theme:
    """Questions on other things that have one answer; `{0}` is the thing, `{x}` a made-up name."""

    questions: tuple[str, ...]
    things: tuple[str, ...]
    answer: str
