"""The topics: every table of facts joined with its wordings."""

from functools import cache

from tuneglm.demo import facts
from tuneglm.demo.topics import Topic
from tuneglm.demo.wordings_en import WORDINGS_EN
from tuneglm.demo.wordings_zh import WORDINGS_ZH

Pairs = tuple[tuple[str, str], ...]


def _columns(table: tuple[tuple[object, ...], ...], key: int, value: int) -> Pairs:
    return tuple((str(row[key]), str(row[value])) for row in table)


def _both_ways(table: tuple[tuple[str, str], ...]) -> Pairs:
    return tuple(table) + tuple((second, first) for first, second in table)


def _following(names: tuple[str, ...]) -> Pairs:
    return tuple(zip(names, names[1:] + names[:1], strict=True))


def _preceding(names: tuple[str, ...]) -> Pairs:
    return tuple((later, earlier) for earlier, later in _following(names))


TABLES_ZH: dict[str, Pairs] = {
    "capital": _columns(facts.COUNTRIES, 0, 2),
    "capital_of": _columns(facts.COUNTRIES, 2, 0),
    "continent": _columns(facts.COUNTRIES, 0, 4),
    "currency": _columns(facts.CURRENCIES, 0, 2),
    "language": _columns(facts.LANGUAGES, 0, 2),
    "landmark": _columns(facts.LANDMARKS, 0, 2),
    "symbol": _columns(facts.ELEMENTS, 0, 2),
    "element": _columns(facts.ELEMENTS, 2, 0),
    "opposite": _both_ways(facts.OPPOSITES_ZH),
    "into_english": facts.WORDS,
    "from_english": _columns(facts.WORDS, 1, 0),
    "colour": _columns(facts.COLOURS, 0, 2),
    "sound": _columns(facts.SOUNDS, 0, 2),
    "legs": _columns(facts.LEGS, 0, 2),
    "sides": _columns(facts.SHAPES, 0, 2),
    "measure_word": facts.MEASURE_WORDS_ZH,
    "number_word": _columns(facts.NUMBERS_ZH, 0, 1),
    "number_digits": _columns(facts.NUMBERS_ZH, 1, 0),
    "planet_order": tuple(
        (facts.NUMBERS_ZH[place][1], planet[0]) for place, planet in enumerate(facts.PLANETS, 1)
    ),
    "next_day": _following(facts.DAYS_ZH),
    "previous_day": _preceding(facts.DAYS_ZH),
    "next_month": _following(facts.MONTHS_ZH),
    "next_zodiac": _following(facts.ZODIAC_ZH),
    "author": _columns(facts.AUTHORS, 0, 2),
}

TABLES_EN: dict[str, Pairs] = {
    "capital": _columns(facts.COUNTRIES, 1, 3),
    "capital_of": _columns(facts.COUNTRIES, 3, 1),
    "continent": _columns(facts.COUNTRIES, 1, 5),
    "currency": _columns(facts.CURRENCIES, 1, 3),
    "language": _columns(facts.LANGUAGES, 1, 3),
    "landmark": _columns(facts.LANDMARKS, 1, 3),
    "symbol": _columns(facts.ELEMENTS, 1, 2),
    "element": _columns(facts.ELEMENTS, 2, 1),
    "opposite": _both_ways(facts.OPPOSITES_EN),
    "into_chinese": _columns(facts.WORDS, 1, 0),
    "from_chinese": facts.WORDS,
    "colour": _columns(facts.COLOURS, 1, 3),
    "sound": _columns(facts.SOUNDS, 1, 3),
    "legs": _columns(facts.LEGS, 1, 2),
    "sides": _columns(facts.SHAPES, 1, 2),
    "young": facts.YOUNG_EN,
    "plural": facts.PLURALS_EN,
    "past": facts.PAST_EN,
    "number_word": _columns(facts.NUMBERS_EN, 0, 1),
    "number_digits": _columns(facts.NUMBERS_EN, 1, 0),
    "planet_order": tuple(
        zip(facts.ORDINALS_EN, (planet[1] for planet in facts.PLANETS), strict=False)
    ),
    "next_day": _following(facts.DAYS_EN),
    "previous_day": _preceding(facts.DAYS_EN),
    "next_month": _following(facts.MONTHS_EN),
    "month_order": tuple(zip(facts.ORDINALS_EN, facts.MONTHS_EN, strict=True)),
    "author": _columns(facts.AUTHORS, 1, 3),
}


@cache
def all_topics() -> tuple[Topic, ...]:
    """Every topic of both languages."""
    chinese = [Topic(name, "zh", pairs, WORDINGS_ZH[name]) for name, pairs in TABLES_ZH.items()]
    english = [Topic(name, "en", pairs, WORDINGS_EN[name]) for name, pairs in TABLES_EN.items()]
    return tuple(chinese + english)
