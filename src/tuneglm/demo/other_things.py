"""Questions on other things, many of them a question on the model with another thing in its place.

What the model cannot know it says it does not know: it is not to answer with who it is.
"""

import random
from functools import cache
from typing import Any

from tuneglm.data.identity import (
    LANGUAGES,
    bare_wording,
    contrast_rows,
    identity_probes,
    unrelated_questions,
)
from tuneglm.demo.corpus import general_probes, varied
from tuneglm.demo.names import random_name
from tuneglm.demo.others_en import THEMES_EN
from tuneglm.demo.others_zh import THEMES_ZH

Row = dict[str, Any]

THEMES = {"zh": THEMES_ZH, "en": THEMES_EN}
ROWS_A_THEME = 60


def other_rows(language: str, random_: random.Random) -> list[Row]:
    """Alpaca rows of every theme, and those that stand among the rows of an identity."""
    asked = [
        (theme.questions, theme.things, theme.answer)
        for theme in THEMES[language]
        for _ in range(ROWS_A_THEME)
    ]
    rows = [_drawn(language, random_, *each) for each in asked]
    rows += contrast_rows(language)
    rows += [
        row | {"instruction": varied(row["instruction"], language, random_)}
        for row in contrast_rows(language)
    ]
    return [row for row in rows if bare_wording(row["instruction"]) not in _probe_wordings()]


def _drawn(
    language: str,
    random_: random.Random,
    questions: tuple[str, ...],
    things: tuple[str, ...],
    answer: str,
) -> Row:
    thing = random_.choice(things).format(x=random_name(random_, language))
    question = random_.choice(questions).format(thing)
    question = varied(question[0].upper() + question[1:], language, random_)
    return {"instruction": question, "input": "", "output": answer.format(thing)}


@cache
def _probe_wordings() -> frozenset[str]:
    """What the model is marked on: it is to be new to it."""
    asked = [question for language in LANGUAGES for question in unrelated_questions(language)]
    asked += [probe.question for probe in identity_probes("", "")]
    asked += [probe.question for probe in general_probes()]
    return frozenset(map(bare_wording, asked))
