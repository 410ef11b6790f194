"""A row of an Alpaca file becomes messages, or says what is wrong with it."""

from typing import Any

import pytest

from tuneglm.data.formats import FORMATS, RowError, nearest
from tuneglm.data.messages import Message

ALPACA = FORMATS["alpaca"]


def messages(row: dict[str, Any], **renamed: str) -> list[tuple[str, str]]:
    example = ALPACA.convert(row, ALPACA.columns_with(renamed))
    return [(message.role, message.content) for message in example.messages]


def test_a_row_is_a_question_and_an_answer() -> None:
    row = {"instruction": "你好", "input": "", "output": "您好"}
    assert messages(row) == [("user", "你好"), ("assistant", "您好")]


def test_the_input_follows_the_instruction_on_a_new_line() -> None:
    row = {"instruction": "Translate:", "input": "cat", "output": "猫"}
    assert messages(row)[0] == ("user", "Translate:\ncat")


def test_the_input_may_be_the_whole_question() -> None:
    assert messages({"instruction": "", "input": "cat", "output": "猫"})[0] == ("user", "cat")


def test_history_and_system_come_first() -> None:
    row = {
        "system": "Be brief.",
        "history": [["1?", "one"], ["2?", "two"]],
        "instruction": "3?",
        "output": "three",
    }
    assert messages(row) == [
        ("system", "Be brief."),
        ("user", "1?"),
        ("assistant", "one"),
        ("user", "2?"),
        ("assistant", "two"),
        ("user", "3?"),
        ("assistant", "three"),
    ]


def test_text_is_kept_as_it_is() -> None:
    row = {"instruction": " a ", "output": "\n b\t"}
    assert messages(row) == [("user", " a "), ("assistant", "\n b\t")]


def test_optional_columns_may_be_null_and_unknown_ones_are_ignored() -> None:
    row = {"instruction": "a", "input": None, "history": None, "output": "b", "id": 7}
    assert messages(row) == [("user", "a"), ("assistant", "b")]


def test_columns_may_have_other_names() -> None:
    row = {"question": "a", "answer": "b"}
    assert messages(row, instruction="question", output="answer")[1] == ("assistant", "b")


def test_a_column_that_the_file_has_not_is_not_its_nameless_one() -> None:
    row = {"instruction": "a", "output": "b", "": "17"}
    assert messages(row, input="") == [("user", "a"), ("assistant", "b")]


def test_the_run_decides_what_is_trained_not_the_format() -> None:
    example = ALPACA.convert({"instruction": "a", "output": "b"}, ALPACA.columns_with({}))
    assert example.messages[1] == Message("assistant", "b", trained=None)


GOOD = {"instruction": "a", "output": "b"}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"output": " \n"}, "the answer (`output`) is empty"),
        ({"output": None}, "the answer (`output`) is empty"),
        ({"instruction": "", "input": " "}, "the question (`instruction`) is empty"),
        ({"output": 7}, "the answer (`output`) should be text, found the number `7`"),
        ({"output": True}, "the answer (`output`) should be text, found `true`"),
        ({"input": ["x"]}, "the input (`input`) should be text, found a list of 1"),
        ({"system": {}}, "the system message (`system`) should be text, found an object"),
        (
            {"history": "q"},
            "the history (`history`) should be a list of [question, answer] pairs, "
            "found the text `q`",
        ),
        (
            {"history": [["q", "a"], ["q"]]},
            "pair 2 of the history (`history`) should be [question, answer], found a list of 1",
        ),
        (
            {"history": [["q", None]]},
            "the answer in pair 1 of the history (`history`) should be text, found `null`",
        ),
        ({"history": [["", "a"]]}, "the question in pair 1 of the history (`history`) is empty"),
        (
            {"output": "ab\ud83d"},
            "the answer (`output`) holds `\\ud83d`, one half of a character, at position 3",
        ),
    ],
)
def test_a_bad_row_says_what_was_expected_and_what_was_found(
    change: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(RowError) as error:
        messages({**GOOD, **change})
    assert error.value.sentence == sentence


def test_a_missing_column_names_those_that_are_there() -> None:
    with pytest.raises(RowError) as error:
        messages({"instructions": "a", "answer": "b"})
    assert error.value.sentence == (
        "the question is missing: expected a column `instruction`, found `instructions`, `answer`"
    )
    assert error.value.remedy == (
        "if `instructions` is it, say so (columns: {instruction: instructions})"
    )


@pytest.mark.parametrize(
    ("row", "remedy"),
    [
        ({"instruction": "a", "input": "b"}, "write it, under the name `output`"),
        ({"instruction": "a", "id": 3}, "write it, under the name `output`"),
        ({"instruction": "a", "Response": "b"}, "(columns: {output: Response})"),
        ({"instruction": "a", "input": "b", "outputs": "c"}, "(columns: {output: outputs})"),
    ],
)
def test_only_a_column_that_is_free_is_proposed(row: dict[str, Any], remedy: str) -> None:
    """`input` looks like `output`; training on it would be harm."""
    with pytest.raises(RowError) as error:
        messages(row)
    assert error.value.remedy.endswith(remedy)


def test_nearest_ignores_case_and_gives_up_on_strangers() -> None:
    assert nearest("instr", ["history", "instruction"]) == "instruction"
    assert nearest("Output", ["input", "OUTPUT"]) == "OUTPUT"
    assert nearest("output", ["xyz"]) is None
