"""What is trained, and what a cutoff may take away."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.letters import END, render, text_of, trained_text
from tuneglm.config import load_config
from tuneglm.data.cutoff import Rule, fair_shares
from tuneglm.data.encode import encode_examples, rule_of
from tuneglm.data.encoded import UNTRAINED
from tuneglm.data.messages import Example, Message, Rendered
from tuneglm.data_config import DataConfig
from tuneglm.errors import ConfigError


def conversation(*texts: str) -> Example:
    roles = ("user", "assistant")
    return Example(tuple(Message(roles[i % 2], text) for i, text in enumerate(texts)))


def encoded(example: Example, **rule: Any) -> list[str]:
    """The trained letters of each row."""
    return [trained_text(row) for row in encode_examples([example], render, Rule(**rule)).rows]


def test_every_answer_or_the_last() -> None:
    example = conversation("a", "BB", "c", "DD")
    assert encoded(example) == ["BBDD"]
    assert encoded(example, train_on="last") == ["DD"]
    assert encoded(example, answers_per_row="one") == ["BB", "DD"]


@given(
    lengths=st.lists(st.integers(0, 60), min_size=2, max_size=8).filter(lambda x: len(x) % 2 == 0),
    cutoff=st.integers(16, 80),
)
def test_no_cutoff_takes_the_token_that_ends_an_answer(lengths: list[int], cutoff: int) -> None:
    texts = ["x" * length or "x" for length in lengths]
    (row,) = encode_examples([conversation(*texts)], render, Rule(cutoff=cutoff)).rows
    assert row.length <= cutoff
    assert row.input_ids[-1] == row.labels[-1] == END
    assert row.labels.count(END) == row.input_ids.count(END)
    assert all(label in (token, UNTRAINED) for token, label in zip(row.input_ids, row.labels))
    assert row.cut == (sum(map(len, texts)) + 1.5 * len(texts) > cutoff)


def test_oldest_turns_go_first() -> None:
    example = conversation("a" * 10, "B" * 10, "c", "DD")
    assert encoded(example, cutoff=16) == ["DD"]


def test_a_long_conversation_is_rendered_few_times() -> None:
    """Of three hundred exchanges most must go: they are not tried one by one."""
    rendered: list[int] = []

    def counted(examples: Sequence[Example], **options: bool) -> list[Rendered]:
        rendered.append(sum(len(each.messages) for each in examples))
        return render(examples, **options)

    example = conversation(*["x" * 8, "YYYY"] * 300)
    (row,) = encode_examples([example], counted, Rule(cutoff=64)).rows
    assert trained_text(row) == "YYYY" * 4
    assert len(rendered) <= 12 and sum(rendered) < 3 * len(example.messages)


@pytest.mark.parametrize("exchanges", [1, 2, 5, 9])
def test_no_exchange_goes_that_has_room(exchanges: int) -> None:
    row_length = 8 + 4 + 3  # letters, and the tokens around them
    example = conversation(*["x" * 8, "YYYY"] * 9)
    for spare in (0, row_length - 1):
        cutoff = exchanges * row_length + spare
        if cutoff >= 16:
            assert encoded(example, cutoff=cutoff) == ["YYYY" * exchanges]


def test_a_longest_answer_holds_for_all_answers_of_a_row() -> None:
    """Old exchanges go before an answer is cut."""
    example = conversation(*["q" * 4, "ANSWER"] * 5)
    rule = Rule(60, "source_target", 40, 20)
    (row,) = encode_examples([example], render, rule).rows
    assert trained_text(row) == "ANSWER" * 2


def test_what_a_row_over_the_cutoff_loses_is_chosen() -> None:
    example = conversation("a" * 4, "B" * 4, "c" * 12, "D" * 20)
    kept = {
        policy: [text_of(row) for row in encode_examples([example], render, Rule(26, policy)).rows]
        for policy in ("truncate_start", "truncate_answer", "drop")
    }
    assert kept == {
        "truncate_start": ["c" * 11 + "D" * 12],
        "truncate_answer": ["aaaa" + "B" * 2 + "c" * 12 + "D" * 2],
        "drop": [],
    }


def test_a_prompt_that_leaves_no_room_for_an_answer_is_left_out() -> None:
    block = encode_examples([conversation("a" * 30, "B")], render, Rule(16, "truncate_answer"))
    assert (len(block.rows), block.dropped) == (0, 1)


@given(
    source=st.integers(8, 40),
    target=st.integers(8, 40),
    texts=st.lists(st.integers(1, 60), min_size=1, max_size=4),
)
def test_prompt_and_answer_each_have_their_own_limit(
    source: int, target: int, texts: list[int]
) -> None:
    """As the original's `max_source_length` and `max_target_length`."""
    example = conversation(*("x" * length for length in texts for _ in "qa"))
    rule = Rule(source + target, "source_target", source, target, train_on="last")
    for row in encode_examples([example], render, rule).rows:
        assert row.trained_tokens <= target
        assert row.length - row.trained_tokens <= source
        assert row.labels[-1] == END


def test_the_two_limits_go_together() -> None:
    config = DataConfig(max_source_length=8, max_target_length=9)
    assert rule_of(config, "all") == Rule(17, "source_target", 8, 9)
    with pytest.raises(ConfigError, match="go together"):
        load_config(None, ["model.path=m", "data.max_source_length=9"])


def test_rows_without_anything_to_train_are_counted() -> None:
    examples = [conversation("a", "b"), conversation("a")]
    block = encode_examples(examples, render, Rule())
    assert (len(block.rows), block.untrained) == (1, 1)


def test_rows_of_one_text_are_known_by_it() -> None:
    """Whatever its case and white space."""
    rows = encode_examples(
        [conversation("a b", "C"), conversation("A  B", "c"), conversation("ab", "d")],
        render,
        Rule(),
    ).rows
    first, second, third = rows.texts
    assert first == second != third


@given(needs=st.lists(st.integers(0, 50), min_size=1, max_size=9), room=st.integers(0, 200))
def test_fair_shares_fill_the_room(needs: list[int], room: int) -> None:
    shares = fair_shares(needs, room)
    assert sum(shares) == min(room, sum(needs))
    assert all(share <= need for share, need in zip(shares, needs))
