"""In which language a row is written, told by its characters; many rows at once."""

import unicodedata
from collections.abc import Sequence
from functools import cache

import numpy as np

from tuneglm.data.encoded import Array

LANGUAGES = ("zh", "en", "mixed", "other")
# so much of a text is in one language alone
_ALONE = 0.8
# of letters that are neither Chinese nor Latin, so many make a text of another language
_OTHER = 0.2
# a Chinese character says as much as so many Latin letters
_LETTERS_A_CHARACTER = 4
_HAN, _LATIN, _FOREIGN = 1, 2, 3


def points_of(texts: Sequence[str]) -> tuple[Array, Array]:
    """(characters of all texts as uint32, where each text ends)."""
    points = np.frombuffer("".join(texts).encode("utf-32-le", "replace"), np.uint32)
    return points, np.cumsum([len(text) for text in texts], dtype=np.int64)


def languages(texts: Sequence[str]) -> Array:
    """(texts,) uint8 into LANGUAGES; a text without letters, such as mathematics, is `other`."""
    points, ends = points_of(texts)
    kinds = _script_of()[np.minimum(points, 0xFFFF)]
    han, latin, foreign = (_count(kinds == kind, ends) for kind in (_HAN, _LATIN, _FOREIGN))
    latin = latin / _LETTERS_A_CHARACTER
    letters = np.maximum(han + latin + foreign, 1e-9)
    result = np.full(len(texts), LANGUAGES.index("mixed"), np.uint8)
    result[han >= _ALONE * letters] = LANGUAGES.index("zh")
    result[latin >= _ALONE * letters] = LANGUAGES.index("en")
    result[(foreign > _OTHER * letters) | (letters < 1e-6)] = LANGUAGES.index("other")
    return result


def _count(marked: Array, ends: Array) -> Array:
    """(texts,) number of marked characters in each."""
    totals = np.concatenate(([0], np.cumsum(marked)))[np.concatenate(([0], ends))]
    counts: Array = np.diff(totals)
    return counts


@cache
def _script_of() -> Array:
    """(65536,) of _HAN, _LATIN, _FOREIGN or 0; the last, which is 0, stands for all beyond."""
    scripts = np.zeros(0x10000, np.uint8)
    for code in range(0x10000):
        if not chr(code).isalpha():
            continue
        if 0x3400 <= code <= 0x9FFF or 0xF900 <= code <= 0xFAFF:
            scripts[code] = _HAN
        elif code < 0x250:
            scripts[code] = _LATIN
        elif unicodedata.category(chr(code)) != "Lm":
            scripts[code] = _FOREIGN
    return scripts
