"""Ids of text and of whole conversations: those of the published Python classes, line by line."""

import json
from typing import Any

import pytest
from transformers import AutoTokenizer

from tests.published import FOLDERS, golden_lines, tokenizer_folder
from tuneglm.models.loading import load_tokenizer


@pytest.fixture(scope="module", params=list(FOLDERS))
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def tokenizer(family: str) -> Any:
    return load_tokenizer(tokenizer_folder(family), family=family)


def lines_of(name: str, family: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in golden_lines(name, family).open(encoding="utf-8")]


def test_text_to_ids(family: str, tokenizer: Any) -> None:
    lines = [line for line in lines_of("tokenizer", family) if "error" not in line]
    texts = [line["text"] for line in lines]
    plain = tokenizer(texts, add_special_tokens=False)["input_ids"]
    assert plain == [line["ids"] for line in lines]
    assert tokenizer(texts)["input_ids"] == [line["ids_with_special"] for line in lines]


def test_ids_to_text(family: str, tokenizer: Any) -> None:
    for line in lines_of("tokenizer", family):
        if "decoded" in line:
            assert tokenizer.decode(line["ids"]) == line["decoded"]


def test_bulk_encoding_equals_the_ordinary_call(family: str, tokenizer: Any) -> None:
    """Where a text spells a special token, bulk encoding keeps it text."""
    lines = [line for line in lines_of("tokenizer", family) if "error" not in line]
    texts = [
        line["text"]
        for line in lines
        if not any(name in line["text"] for name in tokenizer.all_special_tokens)
    ]
    ordinary = tokenizer(texts, add_special_tokens=False)["input_ids"]
    assert tokenizer.encode_bulk(texts) == ordinary


def test_texts_on_which_the_published_class_fails(family: str, tokenizer: Any) -> None:
    for line in lines_of("tokenizer", family):
        if "error" in line:
            tokenizer.decode(tokenizer(line["text"])["input_ids"])


def test_conversations(family: str, tokenizer: Any) -> None:
    for line in lines_of("chat", family):
        messages = line.get("messages") or [
            {"role": role, "content": text}
            for role, text in [
                *(turn for q, a in line["history"] for turn in (("user", q), ("assistant", a))),
                ("user", line["query"]),
            ]
        ]
        ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True)["input_ids"]
        assert ids == line["ids"], messages


def test_a_saved_folder_gives_equal_ids_in_plain_transformers(
    family: str, tokenizer: Any, tmp_path: Any
) -> None:
    tokenizer.save_pretrained(tmp_path)
    plain = AutoTokenizer.from_pretrained(tmp_path, trust_remote_code=False)
    ours = load_tokenizer(tmp_path)
    for line in lines_of("tokenizer", family):
        if "error" in line:
            continue
        assert ours(line["text"])["input_ids"] == line["ids_with_special"]
        # plain transformers must read the chat template's own `<|user|>` as that token
        if not any(name in line["text"] for name in tokenizer.all_special_tokens):
            assert plain(line["text"])["input_ids"] == line["ids_with_special"]
    messages = [
        {"role": "user", "content": "你好，世界"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "再见 again"},
    ]
    wanted = tokenizer.apply_chat_template(messages, add_generation_prompt=True)["input_ids"]
    given = plain.apply_chat_template(messages, add_generation_prompt=True)["input_ids"]
    assert given == wanted
