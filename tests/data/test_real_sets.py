"""Real sets, read whole: every row of them is one that can be used."""

from collections import Counter

import pytest

from tests.published import data_file, tokenizer_folder
from tuneglm.data.examples import load_examples
from tuneglm.data.messages import Example
from tuneglm.data_config import DataConfig
from tuneglm.models import family_named
from tuneglm.models.loading import load_tokenizer


def read(name: str) -> tuple[list[Example], str]:
    """All rows, and how the file was recognised."""
    path = data_file(name)
    sets = load_examples(DataConfig.model_validate({"train": [str(path)]}))
    (rows,) = [list(one.examples()) for one in sets.train]
    assert all(isinstance(row, Example) for row in rows)
    return [row for row in rows if isinstance(row, Example)], "".join(sets.readings)


def roles(rows: list[Example]) -> Counter[str]:
    return Counter(message.role for row in rows for message in row.messages)


@pytest.mark.parametrize(
    ("name", "count", "turns"),
    [
        ("alpaca_zh_demo.json", 1000, 1000),
        ("self_cognition.json", 80, 80),
        ("lima.json", 1029, 1082),
    ],
)
def test_alpaca_sets(name: str, count: int, turns: int) -> None:
    rows, reading = read(name)
    assert reading.startswith(f"`{name}`: Alpaca rows (`instruction`, `input`, `output`")
    assert len(rows) == count
    assert roles(rows) == {"user": turns, "assistant": turns}


def test_limas_conversations() -> None:
    rows, _ = read("lima.json")
    assert sum(len(row.messages) > 2 for row in rows) == 29


def test_preference_pairs_teach_the_chosen_answer() -> None:
    rows, reading = read("dpo_zh_demo.json")
    assert "preference pairs, trained on `chosen`" in reading
    assert len(rows) == 300
    assert roles(rows) == {"system": 64, "user": 300, "assistant": 300}


def test_tool_calls() -> None:
    rows, reading = read("glaive_toolcall_zh_demo.json")
    assert reading == (
        "`glaive_toolcall_zh_demo.json`: ShareGPT conversations "
        "(`conversations` with from/value, `tools`)"
    )
    calls = [call for row in rows for message in row.messages for call in message.tool_calls]
    assert (len(rows), sum(bool(row.tools) for row in rows), len(calls)) == (300, 200, 216)
    assert roles(rows) == {"user": 722, "assistant": 940, "tool": 218}


@pytest.mark.parametrize("family", ["chatglm3", "glm4"])
def test_tool_calls_are_rendered(family: str) -> None:
    """Each answer and each call is trained, and nothing else is."""
    tokenizer = load_tokenizer(tokenizer_folder(family), family=family)
    rows, _ = read("glaive_toolcall_zh_demo.json")
    rendered = family_named(family).render(tokenizer, rows)
    for row, result in zip(rows, rendered):
        text = tokenizer.decode(
            [token for token, trained in zip(result.ids, result.trained) if trained]
        )
        for message in row.messages:
            for call in message.tool_calls:
                assert call["name"] in text
            if message.role == "tool" and len(message.content) > 30:
                assert message.content not in text
