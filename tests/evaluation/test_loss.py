"""The loss of rows is the plain cross entropy of what training trains."""

from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy

from tuneglm.data.encoded import UNTRAINED, Encoded
from tuneglm.data_config import DataConfig
from tuneglm.evaluation.loss import losses_of
from tuneglm.evaluation.sets import asked_of, named_sets
from tuneglm.generate import ChatModel
from tuneglm.models.encoder import encoder_of


@pytest.fixture(scope="module")
def rows(chat: ChatModel, held_file: Path) -> list[Encoded]:
    encoder = encoder_of(DataConfig(), chat.tokenizer, chat.family)
    (one,) = named_sets([str(held_file)], DataConfig(), encoder)
    assert one.name == "held.json" and one.available == 3
    return list(one.rows)


def test_it_is_the_cross_entropy_of_each_row_alone(chat: ChatModel, rows: list[Encoded]) -> None:
    told: list[int] = []
    losses = losses_of(chat, rows, told.append)
    for row, summed, tokens in zip(rows, losses.sums, losses.tokens):
        with torch.no_grad():
            logits = chat.model(input_ids=torch.tensor([row.input_ids])).logits[0]
        targets = torch.tensor(row.labels)[1:]
        alone = cross_entropy(logits[:-1], targets, ignore_index=UNTRAINED, reduction="sum")
        assert summed == pytest.approx(float(alone), rel=1e-4)
        assert tokens == int((targets != UNTRAINED).sum())
    assert told[-1] == len(rows)


def test_a_row_is_asked_as_it_was_trained(chat: ChatModel, rows: list[Encoded]) -> None:
    """The prompt is the one that a chat sends, and the label is the last answer."""
    asked = [asked_of(row, chat.end_tokens) for row in rows]
    assert chat.decode(asked[0].label).strip() == "我是星河。"
    assert asked[0].prompt == chat.prompt([{"role": "user", "content": "你是谁？"}])
    turns = [("user", "Say hello"), ("assistant", "Hello there, nice to meet you.")]
    turns.append(("user", "And in Chinese?"))
    history = [{"role": role, "content": content} for role, content in turns]
    assert asked[2].prompt == chat.prompt(history)
    assert chat.decode(asked[2].label).strip() == "你好！很高兴认识你。"
