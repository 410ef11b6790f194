"""Prompts and completions, preference pairs, plain text, and a row's kind."""

from typing import Any

import pytest

from tuneglm.data.columns import RowError
from tuneglm.data.formats import FORMATS
from tuneglm.data.messages import Example, Message

QUESTION = {"role": "user", "content": "q"}
ANSWER = {"role": "assistant", "content": "a"}
EXPECTED = (Message("user", "q"), Message("assistant", "a"))


def convert(name: str, renamed: dict[str, str] | None = None, **row: Any) -> Example:
    return FORMATS[name].convert(row, FORMATS[name].columns_with(renamed or {}))


@pytest.mark.parametrize("prompt", ["q", [QUESTION], QUESTION])
@pytest.mark.parametrize("completion", ["a", [ANSWER]])
def test_each_side_is_a_text_or_messages(prompt: object, completion: object) -> None:
    row = {"prompt": prompt, "completion": completion}
    assert convert("prompt_completion", **row).messages == EXPECTED


def test_answers_in_the_prompt_are_context() -> None:
    prompt = [QUESTION, ANSWER, QUESTION]
    messages = convert("prompt_completion", prompt=prompt, completion="b").messages
    assert [each.trained for each in messages] == [None, False, None, None]


def test_history_and_system_come_before_the_prompt() -> None:
    row = {"prompt": "q", "completion": "a", "history": [["1", "2"]], "system": "s"}
    roles = [each.role for each in convert("prompt_completion", **row).messages]
    assert roles == ["system", "user", "assistant", "user", "assistant"]


@pytest.mark.parametrize(
    "row",
    [
        {
            "conversations": [{"from": "human", "value": "q"}],
            "chosen": {"from": "gpt", "value": "a"},
        },
        {"prompt": "q", "chosen": "a"},
        {"prompt": [QUESTION], "chosen": [ANSWER]},
        {"instruction": "q", "input": "", "chosen": "a"},
        {"prompt": "q", "chosen": [QUESTION, ANSWER]},
        {"chosen": [QUESTION, ANSWER]},
    ],
)
def test_a_preference_pair_teaches_what_was_chosen(row: dict[str, Any]) -> None:
    assert convert("preference", **row, rejected="no").messages == EXPECTED


def test_of_a_whole_conversation_only_the_chosen_end_is_trained() -> None:
    row = {"chosen": [QUESTION, ANSWER, QUESTION, ANSWER], "rejected": []}
    trained = [each.trained for each in convert("preference", **row).messages]
    assert trained == [None, False, None, None]


def test_plain_text_is_trained_whole() -> None:
    assert convert("text", text="从前有座山").messages == (
        Message("assistant", "从前有座山", trained=True),
    )


@pytest.mark.parametrize(
    ("name", "row", "sentence"),
    [
        ("text", {"text": " "}, "the text (`text`) is empty"),
        ("text", {"text": 1}, "the text (`text`) should be text, found the number `1`"),
        (
            "prompt_completion",
            {"prompt": "q"},
            "the answer is missing: expected a column `completion`, found `prompt`",
        ),
        (
            "prompt_completion",
            {"prompt": "", "completion": "a"},
            "the question (`prompt`) is empty",
        ),
        (
            "prompt_completion",
            {"prompt": 3, "completion": "a"},
            "the question (`prompt`) should be text or a list of messages, found the number `3`",
        ),
        (
            "preference",
            {"chosen": "a", "rejected": "b"},
            "the question is missing: expected `conversations` or `messages` or `prompt` or "
            "`instruction`, found `chosen`, `rejected`",
        ),
        ("preference", {"prompt": "q", "chosen": None}, "the chosen answer (`chosen`) is empty"),
    ],
)
def test_a_bad_row_says_what_is_wrong(name: str, row: dict[str, Any], sentence: str) -> None:
    with pytest.raises(RowError) as error:
        convert(name, **row)
    assert error.value.sentence == sentence


@pytest.mark.parametrize("name", FORMATS)
def test_a_row_that_is_no_object_is_refused(name: str) -> None:
    with pytest.raises(RowError, match="expected an object"):
        FORMATS[name].convert(["a"], FORMATS[name].columns_with({}))


def test_the_kind_of_a_row_is_kept_in_every_format() -> None:
    row = {"instruction": "q", "output": "a", "category": 3}
    assert convert("alpaca", {"kind": "category"}, **row).kind == "3"
    assert convert("alpaca", **row).kind == ""
    assert convert("alpaca", **row, kind=["x"]).kind == ""
    with pytest.raises(RowError, match=r"the kind \(`tags`\) should be text, found a list of 1"):
        convert("alpaca", {"kind": "tags"}, **row, tags=["x"])
