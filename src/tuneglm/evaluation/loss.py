"""The loss of rows: cross entropy of the tokens that training would train, row by row."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from tuneglm.data.collate import collate
from tuneglm.data.encoded import UNTRAINED, Encoded
from tuneglm.generate import ChatModel
from tuneglm.stages.portions import tokens_at_once
from tuneglm.stages.question import Question
from tuneglm.stages.sft import Way, summed_loss

Tell = Callable[[int], None]  # rows done so far


@dataclass(frozen=True)
class RowLosses:
    """Of each row the sum of its trained tokens' cross entropies in nats, and how many these are.

    The mean over all trained tokens is the sum of the sums over that of the tokens.
    """

    sums: list[float]
    tokens: list[int]


@torch.no_grad()
def losses_of(chat: ChatModel, rows: Sequence[Encoded], tell: Tell = lambda _: None) -> RowLosses:
    """A model's loss on each row: rendered, shortened and marked as in training."""
    losses = RowLosses([0.0] * len(rows), [row.trained_tokens for row in rows])
    way, done = Way.of(chat.model), 0
    for places in _groups(rows, tokens_at_once(chat.model.device)):
        sums = _sums(chat, [rows[place] for place in places], way)
        for place, summed in zip(places, sums, strict=True):
            losses.sums[place] = summed
        done += len(places)
        tell(done)
    return losses


def _groups(rows: Sequence[Encoded], tokens: int) -> Iterator[list[int]]:
    """Numbers of rows of like length, padded at most so many tokens, or one row."""
    group: list[int] = []
    for place in sorted(range(len(rows)), key=lambda place: rows[place].length):
        if group and (len(group) + 1) * rows[place].length > tokens:
            yield group
            group = []
        group.append(place)
    if group:
        yield group


def _sums(chat: ChatModel, rows: Sequence[Encoded], way: Way) -> list[float]:
    # whatever id is masked out
    batch: dict[str, Any] = {
        name: each.to(chat.model.device)
        for name, each in collate(rows, pad_token_id=chat.end_tokens[0]).items()
    }
    targets = batch["labels"][:, 1:]
    positions = (targets != UNTRAINED).any(0).nonzero().squeeze(1)
    question = Question(targets[:, positions], whole=len(rows) == 1)
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    summed_loss(chat.model, inputs, positions, question, way)
    assert question.losses is not None, "summed_loss fills it in"
    return [float(each) for each in question.losses.double().sum(1)]
