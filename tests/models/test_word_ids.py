"""Ids by word are the encoding's own."""

import pytest
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models.test_native_speed import TEXTS, small_ranks
from tuneglm.models import word_ids
from tuneglm.models.glm4.tokenization import WORDS, parse_ranks

LETTERS = st.characters(exclude_categories=("Cs",))


def encoding(specials: dict[str, int]) -> tiktoken.Encoding:
    ranks = parse_ranks(small_ranks())
    return tiktoken.Encoding("small", pat_str=WORDS, mergeable_ranks=ranks, special_tokens=specials)


@settings(deadline=None, max_examples=200)
@given(texts=st.lists(TEXTS | st.text(LETTERS, max_size=12), max_size=4))
def test_they_are_the_encodings(texts: list[str]) -> None:
    plain = encoding({})
    words = word_ids.WordIds(plain, WORDS)
    for _ in range(2):
        assert words.ids(texts) == [plain.encode_ordinary(text) for text in texts]


@settings(deadline=None, max_examples=100)
@given(texts=st.lists(TEXTS, max_size=4))
def test_special_tokens_too(texts: list[str]) -> None:
    full = encoding({"<|user|>": 5000, "[gMASK]": 5002})
    words = word_ids.WordIds(full, WORDS)
    assert words.ids(texts) == [full.encode(text, allowed_special="all") for text in texts]


def test_no_more_words_are_kept_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_ids, "WORDS_KEPT", 3)
    words = word_ids.WordIds(encoding({}), WORDS)
    texts = ["你好，世界。我是星河。", "他们，我们，你们，大家"]
    assert words.ids(texts) == words.ids(texts)
    assert len(words._known) <= 3
