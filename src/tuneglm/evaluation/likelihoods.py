"""How likely a model finds continuations of contexts: batches of like length, each row once."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from tuneglm.generate import ChatModel
from tuneglm.stages.portions import tokens_at_once
from tuneglm.stages.sft import keeps_logits, logits_at

# logits that are made at once
NUMBERS = 2**26

Ids = list[int]
Found = tuple[float, bool]  # log likelihood, whether it is what the model would have said
# how many of its last tokens predict the continuation, and a row without its last token
Key = tuple[int, ...]


@torch.no_grad()
def likelihoods(chat: ChatModel, asked: Sequence[tuple[Ids, Ids]], longest: int) -> list[Found]:
    """Of each (context, continuation); a context loses its beginning where both are too long.

    Continuations that differ in their last token alone, such as the letters of a choice,
    need one pass for all of them.
    """
    found: list[Found] = [(0.0, True)] * len(asked)
    same: dict[Key, list[int]] = {}
    answers = [continuation[-longest + 1 :] for _, continuation in asked]
    for place, (context, _) in enumerate(asked):
        row = (context + answers[place])[-longest:-1]
        same.setdefault((len(answers[place]), *row), []).append(place)
    keeps = keeps_logits(chat.model)
    for keys in _batches(chat, list(same)):
        for key, logits in zip(keys, _logits(chat, keys, keeps), strict=True):
            likely = torch.log_softmax(logits.float(), -1)
            for place in same[key]:
                ids = torch.tensor(answers[place], device=likely.device)
                value = likely.gather(1, ids[:, None]).sum()
                found[place] = float(value), bool((likely.argmax(-1) == ids).all())
    return found


def _batches(chat: ChatModel, keys: Sequence[Key]) -> Iterator[list[Key]]:
    """Rows of like length, as many as keep the device busy."""
    words = chat.model.get_output_embeddings().weight.shape[0]
    tokens = tokens_at_once(chat.model.device)
    batch: list[Key] = []
    for key in sorted(keys, key=len):
        count = len(batch) + 1
        # positions that differ from row to row are asked of each row
        logits = count * sum(each[0] for each in [*batch, key]) * words
        if batch and (count * len(key) > tokens or logits > NUMBERS):
            yield batch
            batch = []
        batch.append(key)
    if batch:
        yield batch


def _logits(chat: ChatModel, keys: Sequence[Key], keeps: bool) -> Iterator[Tensor]:
    """(continuation's tokens, vocabulary) of each row: what follows its last tokens."""
    rows, device = [list(key[1:]) for key in keys], chat.model.device
    # whatever id is masked out
    ids = torch.full((len(rows), max(map(len, rows))), chat.end_tokens[0])
    mask = torch.zeros_like(ids)
    asked: list[list[int]] = []
    for place, (row, key) in enumerate(zip(rows, keys, strict=True)):
        ids[place, : len(row)] = torch.tensor(row)
        mask[place, : len(row)] = 1
        asked.append(list(range(len(row) - key[0], len(row))))
    positions = sorted({position for each in asked for position in each})
    numbers = {position: number for number, position in enumerate(positions)}
    inputs = {"input_ids": ids.to(device), "attention_mask": mask.to(device)}
    logits = logits_at(chat.model, inputs, torch.tensor(positions, device=device), keeps)
    for place, each in enumerate(asked):
        yield logits[place, [numbers[position] for position in each]]
