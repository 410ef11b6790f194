"""What is trained, and what a cutoff may take away."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuneglm.config import DataConfig
from tuneglm.data.encode import UNTRAINED, encode_examples, fair_shares
from tuneglm.data.messages import Example, Message, Rendered
from tuneglm.errors import DataError

ROLE, END = 1, 2


def render(examples: Sequence[Example], *, generation_prompt: bool = False) -> list[Rendered]:
    """A role token, a token for each letter, an end token after an answer."""
    rows = []
    for example in examples:
        row = Rendered()
        for message in example.messages:
            trained = message.role == "assistant" and message.trained is not False
            row.extend([ROLE], special=True)
            row.extend([ord(letter) for letter in message.content], trained=trained)
            if message.role == "assistant":
                row.extend([END], special=True, trained=trained)
        rows.append(row)
    return rows


def conversation(*texts: str) -> Example:
    roles = ("user", "assistant")
    return Example(tuple(Message(roles[i % 2], text) for i, text in enumerate(texts)))


def encoded(example: Example, *, answers: str = "all", **options: object) -> list[str]:
    """The trained letters of each row."""
    config = DataConfig.model_validate(options)
    rows = encode_examples([example], render, config=config, answers_per_row=answers).rows
    return [
        "".join(chr(label) for label in row.labels if label not in (UNTRAINED, END)) for row in rows
    ]


def test_every_answer_or_the_last() -> None:
    example = conversation("a", "BB", "c", "DD")
    assert encoded(example) == ["BBDD"]
    assert encoded(example, train_on="last") == ["DD"]
    assert encoded(example, answers="one") == ["BB", "DD"]


@given(
    lengths=st.lists(st.integers(0, 60), min_size=2, max_size=8).filter(lambda x: len(x) % 2 == 0),
    cutoff=st.integers(16, 80),
)
def test_no_cutoff_takes_the_token_that_ends_an_answer(lengths: list[int], cutoff: int) -> None:
    texts = ["x" * length or "x" for length in lengths]
    config = DataConfig(cutoff=cutoff)
    result = encode_examples([conversation(*texts)], render, config=config, answers_per_row="all")
    (row,) = result.rows
    assert row.length <= cutoff
    assert row.input_ids[-1] == row.labels[-1] == END
    assert row.labels.count(END) == row.input_ids.count(END)
    assert all(label in (token, UNTRAINED) for token, label in zip(row.input_ids, row.labels))
    assert row.cut == (sum(map(len, texts)) + 1.5 * len(texts) > cutoff)


def test_oldest_turns_go_first() -> None:
    example = conversation("a" * 10, "B" * 10, "c", "DD")
    assert encoded(example, cutoff=16) == ["DD"]


def test_rows_without_anything_to_train_are_counted_or_stop_the_run() -> None:
    config = DataConfig()
    examples = [conversation("a", "b"), conversation("a")]
    assert encode_examples(examples, render, config=config, answers_per_row="all").untrained == 1
    with pytest.raises(DataError, match="no trained answer"):
        encode_examples(examples[1:], render, config=config, answers_per_row="all")


@given(needs=st.lists(st.integers(0, 50), min_size=1, max_size=9), room=st.integers(0, 200))
def test_fair_shares_fill_the_room(needs: list[int], room: int) -> None:
    shares = fair_shares(needs, room)
    assert sum(shares) == min(room, sum(needs))
    assert all(share <= need for share, need in zip(shares, needs))
