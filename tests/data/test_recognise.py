"""Which format a file has is found by looking at its rows, and said."""

from typing import Any

import pytest

from tuneglm.data.formats import FORMATS
from tuneglm.data.recognise import Recognised, format_of, recognise
from tuneglm.errors import DataError

CHAT = [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]
MESSAGES = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]


def found(row: dict[str, Any], **renamed: str) -> Recognised:
    return recognise([row], "my.jsonl", renamed)


@pytest.mark.parametrize(
    ("row", "name", "sentence"),
    [
        (
            {"instruction": "q", "input": "", "output": "a", "text": "t"},
            "alpaca",
            "Alpaca rows (`instruction`, `input`, `output`); not used: `text`",
        ),
        (
            {"conversations": CHAT, "id": 1},
            "sharegpt",
            "ShareGPT conversations (`conversations` with from/value); not used: `id`",
        ),
        (
            {"messages": MESSAGES, "tools": []},
            "messages",
            "OpenAI messages (`messages` with role/content, `tools`)",
        ),
        (
            {"prompt": "q", "completion": "a"},
            "prompt_completion",
            "prompts and completions (`prompt`, `completion`)",
        ),
        (
            {"kind": "Couplet", "input": "q", "target": "a"},
            "firefly",
            "Firefly rows (`input`, `target`, `kind`)",
        ),
        ({"text": "从前"}, "text", "plain text, all of it trained (`text`)"),
        (
            {"prompt": "q", "chosen": "a", "rejected": "b"},
            "preference",
            "preference pairs, trained on `chosen` (`chosen`, `rejected`, `prompt`)",
        ),
        (
            {"instruction": "Human:q\nAssistant:", "input": "", "output": "a"},
            "belle_multiturn",
            "BELLE's flattened conversations (`instruction`, `input`, `output`)",
        ),
        (
            {"instruction": "User: q\nAssistent: a", "input": "User: r", "output": "s"},
            "guanaco",
            "Guanaco chats (`instruction`, `input`, `output`)",
        ),
    ],
)
def test_each_format_is_known_by_its_columns(row: dict[str, Any], name: str, sentence: str) -> None:
    result = found(row)
    assert (result.format, result.sentence) == (name, f"`my.jsonl`: {sentence}")
    each = FORMATS[name]
    assert each.convert(row, each.columns_with(result.columns)).messages


@pytest.mark.parametrize(
    ("columns", "name", "renamed"),
    [
        ("question answer", "alpaca", {"instruction": "question", "output": "answer"}),
        ("问题 回答", "alpaca", {"instruction": "问题", "output": "回答"}),
        ("Instruction Output", "alpaca", {"instruction": "Instruction", "output": "Output"}),
        (
            "instruction context response",
            "alpaca",
            {"output": "response", "input": "context"},
        ),
        ("prompt response", "prompt_completion", {"completion": "response"}),
        ("input output", "firefly", {"target": "output"}),
        ("content", "text", {"text": "content"}),
        ("conversation", "sharegpt", {"conversations": "conversation"}),
    ],
)
def test_columns_of_another_known_name(columns: str, name: str, renamed: dict[str, str]) -> None:
    result = found(dict.fromkeys(columns.split(), "x"))
    assert (result.format, result.columns) == (name, renamed)
    for ours, theirs in renamed.items():
        assert f"`{theirs}` as `{ours}`" in result.sentence


def test_what_the_run_says_of_the_columns_comes_first() -> None:
    row = {"q": "1", "a": "2", "instruction": "3"}
    result = found(row, instruction="q", output="a")
    assert (result.format, result.columns) == ("alpaca", {"instruction": "q", "output": "a"})
    with pytest.raises(DataError, match="`instrction`, which is no column of ours") as error:
        found(row, instrction="q")
    assert error.value.hint == "did you mean `instruction`?"
    with pytest.raises(DataError) as turned:
        found(row, q="instruction")
    assert turned.value.hint is not None
    assert turned.value.hint.endswith("columns: {instruction: q}")


def test_a_format_by_name_is_not_looked_for() -> None:
    rows = [{"instruction": "q", "output": "a"}]
    assert format_of(rows, "x", known="belle_math") == Recognised("belle_math", {})
    with pytest.raises(DataError, match="no format `alpacca`") as error:
        format_of(rows, "x", known="alpacca")
    assert error.value.hint == "did you mean `alpaca`?"
    with pytest.raises(DataError, match="no column of ours"):
        format_of(rows, "x", known="text", renamed={"output": "a"})


def test_a_few_bad_rows_do_not_hide_what_a_file_is() -> None:
    good = {"instruction": "q", "output": "a"}
    rows = [None, {"messages": 1}, ["x"], good, good, {"instruction": "q"}, good]
    assert recognise(rows).format == "alpaca"
    assert recognise([None, 1]) == Recognised("alpaca", {})
    assert recognise([]) == Recognised("alpaca", {})


def test_one_row_that_begins_like_a_chat_makes_no_belle() -> None:
    rows = [{"instruction": text, "output": "a"} for text in ("Human: hi", "q", "r")]
    assert recognise(rows).format == "alpaca"


@pytest.mark.parametrize(
    ("columns", "hint"),
    [
        (
            "instruction outputs",
            "if they are alpaca, say so: columns: {output: outputs}",
        ),
        ("instruction input", "the nearest is alpaca, which also needs `output`"),
        (
            "question answer response",
            "if they are alpaca, say so: columns: {instruction: question, output: answer}",
        ),
        ("content summary", "say what the columns are: columns: {instruction: QUESTION, output"),
        ("a b", "say what the columns are: columns: {instruction: QUESTION, output: ANSWER}"),
    ],
)
def test_where_nothing_fits_the_columns_and_the_formats_are_named(columns: str, hint: str) -> None:
    """Two that might be the answer are as good as none: which it is, a person has to say."""
    with pytest.raises(DataError, match=r"No format fits the rows of `my\.jsonl`") as error:
        found(dict.fromkeys(columns.split(), "x"))
    for column in columns.split():
        assert f"`{column}`" in error.value.sentence
    assert error.value.hint is not None
    assert error.value.hint.startswith(hint)
    assert "firefly (`input`, `target`), alpaca (`instruction`, `output`)" in error.value.hint


@pytest.mark.parametrize("name", ["my.csv", "my.TSV", "my.csv.gz"])
def test_a_table_without_a_line_of_names_is_told_to_get_one(name: str) -> None:
    """To call its first row's cells columns would lose that row."""
    with pytest.raises(DataError) as error:
        recognise([{"你是谁？": "你好", "我是星河。": "你好呀"}], name)
    assert error.value.hint is not None
    assert error.value.hint.startswith("if its first line is a row, put the columns' names above")
