"""An answer's text token by token is the text of all its tokens, and ends before a stop."""

import random
from collections.abc import Sequence

import pytest

from tests.api.vocabularies import NAMES, talking
from tuneglm.demo import MODEL_FOLDER
from tuneglm.models.loading import load_tokenizer
from tuneglm.writing.text import AnswerText


def pieces(text: AnswerText, ids: Sequence[int]) -> list[str]:
    found = []
    for token in ids:
        found.append(text.add(token))
        if text.is_stopped:
            break
    return [*found, text.end()]


def letters(ids: list[int]) -> str:
    return "".join(map(chr, ids))


@pytest.mark.parametrize("seed", range(6))
def test_pieces_are_the_whole(seed: int) -> None:
    """Also where an answer is longer than what is decoded anew, and has broken characters."""
    tokenizer = load_tokenizer(MODEL_FOLDER)
    drawn = random.Random(seed)
    texts = ["星河🙂", " hello world", "\n\n", "你好，", "1 + 2 = 3", "𠮷 é "]
    said = "".join(drawn.choice(texts) for _ in range(80))
    ids: list[int] = tokenizer(said, add_special_tokens=False)["input_ids"]
    if seed > 3:
        ids = [drawn.randrange(len(tokenizer)) for _ in range(200)]

    def decode(given: list[int]) -> str:
        return str(tokenizer.decode(given, skip_special_tokens=True))

    text = AnswerText(decode, (), leading_space=True)
    shown = pieces(text, ids)
    assert "".join(shown) == text.text == decode(ids)
    assert len([piece for piece in shown if piece]) > 20


@pytest.mark.parametrize("name", NAMES)
def test_every_family_is_read_as_it_wrote(name: str) -> None:
    """Spaces before punctuation as well, which some tokenizers take away from a whole text."""
    chat = talking(name)
    said = "x = 'some' , he 's here . do n't ! 星河 ? 🙂"
    ids: list[int] = chat.tokenizer(said, add_special_tokens=False)["input_ids"]
    shown = pieces(AnswerText(chat.decode), ids)
    assert "".join(shown) == chat.decode(ids).lstrip() == said


@pytest.mark.parametrize(
    ("said", "stops", "shown"),
    [
        ("abcdef", ["cd"], "ab"),
        ("abcdef", ["x", "ef"], "abcd"),
        ("aaab", ["aab"], "a"),
        ("abcab", ["abd"], "abcab"),
        ("one\n\ntwo", ["\n\n", "e"], "on"),
    ],
)
def test_it_ends_before_a_stop(said: str, stops: list[str], shown: str) -> None:
    text = AnswerText(letters, stops, leading_space=True)
    found = pieces(text, [*map(ord, said)])
    assert "".join(found) == text.text == shown
    assert text.is_stopped == (shown != said)
    for stop in stops:
        assert not any(stop in "".join(found[:end]) for end in range(len(found)))


def test_what_may_be_a_stop_is_held_back() -> None:
    text = AnswerText(letters, ["cdx"], leading_space=True)
    assert [text.add(ord(letter)) for letter in "abcde"] == ["a", "b", "", "", "cde"]


def test_white_space_before_a_chats_answer_is_no_part_of_it() -> None:
    text = AnswerText(letters, (), leading_space=False)
    assert [text.add(ord(letter)) for letter in "\n a b"] == ["", "", "a", " ", "b"]
