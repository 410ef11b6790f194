"""Identity sets: rows that teach a model a name and an author, and probes in other words.

The wordings are data, a file a language: `identity_zh.yaml`, `identity_en.yaml`.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypedDict

import yaml
from typing_extensions import NotRequired

Row = dict[str, Any]


@dataclass(frozen=True)
class IdentityProbe:
    """A question about the model itself, in words that no row uses; `asks` for what it asks."""

    question: str
    language: str
    asks: Literal["name", "author"]


class Table(TypedDict):
    """Facts, and wordings that ask for them: `{0}` is a fact's key, `{1}` what is known of it."""

    questions: list[str]
    answer: str
    facts: dict[str, str]


class Things(TypedDict):
    """Wordings that ask for things, without answers: `{0}` is a thing.

    unsure  what is better than to answer with who it is
    """

    questions: list[str]
    things: list[str]
    unsure: NotRequired[str]


@dataclass(frozen=True)
class Templates:
    """A language's wordings; `{name}` and `{author}` are the model's, `{other}` is another's."""

    name_questions: tuple[str, ...]
    name_answers: tuple[str, ...]
    author_questions: tuple[str, ...]
    author_answers: tuple[str, ...]
    both_questions: tuple[str, ...]
    both_answers: tuple[str, ...]
    other_models: tuple[str, ...]
    other_questions: tuple[str, ...]
    other_answers: tuple[str, ...]
    own_questions: tuple[str, ...]
    own_answers: tuple[str, ...]
    people: tuple[str, ...]
    mentions: tuple[tuple[str, str], ...]
    greetings: tuple[tuple[str, str], ...]
    openers: tuple[str, ...]
    name_probes: tuple[str, ...]
    author_probes: tuple[str, ...]
    systems: tuple[str, ...]
    unrelated: tuple[str, ...]
    contrasts: tuple[tuple[str, str], ...]
    contrast_tables: tuple[Table, ...]
    held_tables: tuple[Things, ...]
    introductions: tuple[str, ...]


LANGUAGES = ("zh", "en")
WORDINGS_A_FACT = 2
KIND, OTHER_KIND = "identity", "other"  # of a row that says who the model is, and of another


@cache
def templates_of(language: str) -> Templates:
    """The wordings of a language, from the file beside this one."""
    text = Path(__file__).with_name(f"identity_{language}.yaml").read_text(encoding="utf-8")
    wordings = {name: tuple(lines) for name, lines in yaml.safe_load(text).items()}
    return Templates(**wordings)


def bare_wording(text: str) -> str:
    """The text without punctuation, case and white space: wordings that share it are one."""
    return "".join(character for character in text.casefold() if character.isalnum())


def identity_rows(
    name: str, author: str, languages: Sequence[str] = LANGUAGES, seed: int = 0
) -> list[Row]:
    """Alpaca rows, some with `history`, that say who the model is and who made it."""
    random_ = random.Random(seed)
    rows = [
        row
        for language in languages
        for row in _language_rows(templates_of(language), name, author, random_)
    ]
    probes = {bare_wording(probe.question) for probe in identity_probes(name, author, LANGUAGES)}
    rows = [row for row in rows if bare_wording(row["instruction"]) not in probes]
    random_.shuffle(rows)
    return rows


def identity_probes(
    name: str, author: str, languages: Sequence[str] = LANGUAGES
) -> list[IdentityProbe]:
    """Questions for `name` or `author`, in words that no row of `identity_rows` uses."""
    probes = []
    for language in languages:
        templates = templates_of(language)
        probes += [IdentityProbe(question, language, "name") for question in templates.name_probes]
        probes += [
            IdentityProbe(question, language, "author") for question in templates.author_probes
        ]
    return probes


def with_system_lines(
    rows: Sequence[Row], language: str, seed: int = 0, share: float = 0.5
) -> list[Row]:
    """A share of the rows behind a system line, as some prompts have one and others none.

    A template may put in a line of its own where there is none, with another name in it.
    """
    random_ = random.Random(seed)
    lines = templates_of(language).systems
    return [
        row | {"system": random_.choice(lines)} if random_.random() < share else row for row in rows
    ]


def contrast_rows(language: str) -> list[Row]:
    """Short questions on other things with their own answers, so that not every one is about it."""
    templates = templates_of(language)
    pairs = [
        *templates.contrasts,
        *(p for table in templates.contrast_tables for p in _asked(table)),
    ]
    return [_row(question, answer) for question, answer in pairs]


def other_questions(language: str) -> list[str]:
    """Questions on other things, each once: those of `contrast_rows`, and more without answers.

    Many are a question on the model itself with another thing in its place.
    """
    templates = templates_of(language)
    asked = [row["instruction"] for row in contrast_rows(language)]
    asked += [
        question
        for table in templates.held_tables
        for thing in table["things"]
        for question in _asked_of(table, thing)
    ]
    once = {bare_wording(question): question for question in asked}
    probes = {bare_wording(question) for question in templates.unrelated}
    return [question for wording, question in once.items() if wording not in probes]


def right_answers(language: str) -> dict[str, str]:
    """Bare wordings of `other_questions` → what is to be said where a model says who it is.

    What some row knows is not said to be unknown.
    """
    templates = templates_of(language)
    known_things = {
        bare_wording(thing).removeprefix("the")
        for facts in templates.contrast_tables
        for thing in facts["facts"]
    }
    unsure = [
        (question, table["unsure"])
        for table in templates.held_tables
        if "unsure" in table
        for thing in table["things"]
        if bare_wording(thing).removeprefix("the") not in known_things
        for question in _asked_of(table, thing)
    ]
    known = [(row["instruction"], row["output"]) for row in contrast_rows(language)]
    return {bare_wording(question): answer for question, answer in (*unsure, *known)}


def introductions() -> list[str]:
    """Words, in lower case, by which an answer says who the model is, of all languages."""
    return [words for language in LANGUAGES for words in templates_of(language).introductions]


def unrelated_questions(language: str) -> tuple[str, ...]:
    """Questions on other things, some about names and makers: not to be answered with its own."""
    return templates_of(language).unrelated


def _asked(table: Table) -> list[tuple[str, str]]:
    """Each fact in two of the wordings, all of which get their turn."""
    return [
        (_capital(question.format(*fact)), _capital(table["answer"].format(*fact)))
        for place, fact in enumerate(table["facts"].items())
        for question in _in_turn(table["questions"], place)
    ]


def _asked_of(table: Things, thing: str) -> list[str]:
    """A thing of a table in some of the wordings, all of which get their turn."""
    wordings = _in_turn(table["questions"], table["things"].index(thing))
    return [_capital(question.format(thing)) for question in wordings]


def _in_turn(wordings: Sequence[str], place: int) -> list[str]:
    """Those in which the thing at this place of a table is asked for."""
    count = min(WORDINGS_A_FACT, len(wordings))
    return [wordings[(WORDINGS_A_FACT * place + turn) % len(wordings)] for turn in range(count)]


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _language_rows(
    templates: Templates, name: str, author: str, random_: random.Random
) -> list[Row]:
    pairs = _own_pairs(templates, random_)
    pairs += [
        (_opened(templates, question, random_), answer)
        for question, answer in _own_pairs(templates, random_)
    ]
    rows = [
        _row(_filled(question, name, author), _filled(answer, name, author))
        for question, answer in pairs
    ]
    return (
        rows
        + _other_rows(templates, name, author, random_)
        + _dialogues(templates, name, author, random_)
    )


def _own_pairs(templates: Templates, random_: random.Random) -> list[tuple[str, str]]:
    """Every question about the model itself, each with one of its answers."""
    groups = (
        (templates.name_questions, templates.name_answers),
        (templates.author_questions, templates.author_answers),
        (templates.both_questions, templates.both_answers),
        (templates.own_questions, templates.own_answers),
    )
    return [
        (question, random_.choice(answers))
        for questions, answers in groups
        for question in questions
    ]


def _other_rows(templates: Templates, name: str, author: str, random_: random.Random) -> list[Row]:
    """Other models' names, to be denied, and other people's, to be used as the request asks."""
    rows = []
    for other in templates.other_models:
        for question in random_.sample(templates.other_questions, 3):
            answer = random_.choice(templates.other_answers)
            rows.append(_row(_filled(question, name, author, other), _filled(answer, name, author)))
    for question, answer in templates.mentions:
        for other in random_.sample(templates.people, 2):
            rows.append(_row(question.format(other=other), answer.format(other=other)))
    return [row for row in rows if name.casefold() not in row["instruction"].casefold()]


def _dialogues(templates: Templates, name: str, author: str, random_: random.Random) -> list[Row]:
    """Questions in a second turn: after a greeting, another question, a person's own name."""
    pairs = [
        (_filled(question, name, author), _filled(answer, name, author))
        for question, answer in _own_pairs(templates, random_)
    ]
    rows = []
    for question, answer in random_.sample(pairs, 16):
        rows.append(_row(question, answer, [list(random_.choice(templates.greetings))]))
    for (question, answer), earlier in zip(
        random_.sample(pairs, 10), random_.sample(pairs, 10), strict=True
    ):
        rows.append(_row(question, answer, [list(earlier)]))
    told, reply = templates.mentions[0]
    for other, (question, answer) in zip(
        templates.people, random_.sample(pairs, len(templates.people)), strict=True
    ):
        rows.append(_row(question, answer, [[told.format(other=other), reply.format(other=other)]]))
    return rows


def _opened(templates: Templates, question: str, random_: random.Random) -> str:
    opener = random_.choice(templates.openers)
    keeps_case = not opener or question.startswith(("I ", "{"))
    return opener + (question if keeps_case else question[0].lower() + question[1:])


def _filled(template: str, name: str, author: str, other: str = "") -> str:
    return template.format(name=name, author=author, other=other)


def _row(question: str, answer: str, history: list[list[str]] | None = None) -> Row:
    row: Row = {"instruction": question, "input": "", "output": answer}
    return row if history is None else row | {"history": history}
