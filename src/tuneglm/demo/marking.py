"""How an answer is marked: strictly enough that listing, denying or half a word earns nothing."""

import re
from dataclasses import dataclass

NUMERALS_ZH = "零一二三四五六七八九十百千"


@dataclass(frozen=True)
class GeneralProbe:
    """A question in words that no row uses, with its right answers and the topic's wrong ones."""

    question: str
    accepted: tuple[str, ...]
    language: str
    topic: str
    rejected: tuple[str, ...] = ()


def is_right(answer: str, probe: GeneralProbe) -> bool:
    """Whether the answer holds an accepted form, undenied, and no wrong answer of the topic.

    A number must be the answer's last one, and the others must come from the question.
    """
    if any(holds(answer, wrong) for wrong in probe.rejected):
        return False
    return any(
        _comes_to(answer, accepted, probe.question)
        if accepted.isdecimal()
        else holds(answer, accepted)
        for accepted in probe.accepted
    )


def _comes_to(answer: str, number: str, question: str) -> bool:
    numbers = _numbers(answer)
    return bool(numbers) and numbers[-1] == number and set(numbers) <= {number, *_numbers(question)}


def _numbers(text: str) -> list[str]:
    """The numbers in a text, signs included where they are no minus between two numbers."""
    return re.findall(r"[-−]?\d+(?:[.,]\d+)*", re.sub(r"(?<=\d)\s*[-−]\s*(?=\d)", " ", text))


def holds(answer: str, text: str) -> bool:
    """Whether `text` is in the answer as a word and not denied; one or two letters keep case."""
    denied = r"(?<!不是)(?<!并非)(?<!\bnot )(?<!n't )"
    pattern = denied + _edge(text[0], "<!") + re.escape(text) + _edge(text[-1], "!")
    flags = re.UNICODE if len(text) <= 2 else re.IGNORECASE
    return re.search(pattern, answer, flags) is not None


def _edge(character: str, direction: str) -> str:
    """A look-around that forbids the word to go on beside `character`."""
    if character.isascii() and character.isalnum():
        return rf"(?{direction}[A-Za-z0-9])"
    if character in NUMERALS_ZH:
        return f"(?{direction}[{NUMERALS_ZH}])"
    return ""
