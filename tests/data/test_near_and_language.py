"""What is told of texts by their characters alone: nearly the same, and in which language."""

import random

import numpy as np
import pytest

from tuneglm.data.language import LANGUAGES, languages
from tuneglm.data.near import HASHES, near_rows, sketches

WORDS = ["river", "mountain", "light", "answer", "green", "walks", "seven", "quickly", "paper"]


def text(seed: int, words: int = 60) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=words)) + f" {seed}"


def near(*texts: str) -> list[tuple[int, int]]:
    digests = np.array([hash(one) & 0xFFFFFFFF for one in texts], np.uint64)
    found = near_rows(sketches(texts), digests)
    return list(zip(found.rows.tolist(), found.earlier.tolist()))


def test_a_changed_word_is_near_and_another_text_is_not() -> None:
    changed = text(1).replace("mountain", "hill", 1)
    assert near(text(1), text(2), changed) == [(2, 0)]


def test_pairs_are_found_though_all_rows_begin_alike() -> None:
    preamble = "Please translate the following sentence into Chinese, and explain each word of it: "
    texts = [preamble + text(seed, 16) for seed in range(100)]
    pairs = [each for one in texts for each in (one, one.replace("seven", "eight", 1))]
    found = dict(near(*pairs))
    partners = [i for i in range(1, 200, 2) if found.get(i) == i - 1]
    changed = sum(one != other for one, other in zip(pairs[::2], pairs[1::2]))
    assert len(partners) > 0.9 * changed > 50


def test_case_spaces_and_punctuation_do_not_count() -> None:
    assert near("Who are you?", "who are   you", "WHO, are you!") == [(1, 0), (2, 0)]
    assert near("你是谁？请告诉我。", "你是谁 请告诉我") == [(1, 0)]


def test_copies_are_not_near() -> None:
    assert near(text(1), text(1)) == []


def test_texts_without_letters_are_like_nothing() -> None:
    assert near("?!", "…", "", "   ") == []


def test_a_sketch_does_not_depend_on_its_neighbours() -> None:
    """However the texts are divided into parts."""
    texts = [text(seed, words) for seed, words in enumerate([3, 900, 1, 0, 5000, 20])]
    alone = np.concatenate([sketches([one]) for one in texts])
    assert alone.shape == (6, HASHES)
    assert (sketches(texts) == alone).all()
    assert (sketches(texts * 20)[-6:] == alone).all()


@pytest.mark.parametrize(
    ("written", "language"),
    [
        ("你是谁？我是 GLM。", "zh"),
        ("Who are you? I am called 星.", "en"),
        ("翻译：I like hot coffee in the morning 我喜欢在早上喝热咖啡", "mixed"),
        ("ありがとうございます、またあした", "other"),
        ("Кто ты такой?", "other"),
        ("3 + 4 = 7", "other"),
        ("", "other"),
        ("𠀀𠀁𠀂", "other"),
        ("Où est la bibliothèque ?", "en"),
    ],
)
def test_the_language_of_a_text(written: str, language: str) -> None:
    """Told by the script alone: French counts as English."""
    assert LANGUAGES[languages(["before", written, "之后"])[1]] == language
