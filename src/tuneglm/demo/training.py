"""A short training loop: rows of like length in a batch, bf16 autocast, warm-up and cosine."""

import math
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from tuneglm.demo.curriculum import Row, base_rows

Example = tuple[list[int], list[bool]]
# rows of conversation → ids, and which of them are trained
Encode = Callable[[list[Row]], list[Example]]


@dataclass(frozen=True)
class Schedule:
    """One lesson: how long and how fast to train, on which rows.

    rows  number of a pass → its rows
    """

    steps: int = 5000
    learning_rate: float = 3e-3
    warmup_steps: int = 100
    batch_tokens: int = 2560
    weight_decay: float = 0.02
    seed: int = 0
    rows: Callable[[int], list[Row]] = base_rows

    def factor(self, step: int) -> float:
        """The part of the learning rate at `step`: a linear warm-up, then a cosine to nothing."""
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        done = (step - self.warmup_steps) / max(1, self.steps - self.warmup_steps)
        return 0.5 * (1 + math.cos(math.pi * done))


def train(model: Any, encode: Encode, schedule: Schedule) -> None:
    """Train `model` in place on fresh rows, drawn anew at every pass."""
    optimizer = torch.optim.AdamW(
        model.parameters(),
        schedule.learning_rate,
        betas=(0.9, 0.98),
        weight_decay=schedule.weight_decay,
        fused=True,
    )
    decay = torch.optim.lr_scheduler.LambdaLR(optimizer, schedule.factor)
    batches, started, recent = _batches(encode, schedule), time.time(), 0.0
    for step in range(1, schedule.steps + 1):
        loss = batch_loss(model, next(batches))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        decay.step()
        recent = 0.98 * recent + 0.02 * loss.item()
        if step % 100 == 0:
            print(f"step {step} loss {recent:.4f} seconds {time.time() - started:.0f}", flush=True)


def batch_loss(model: Any, batch: list[Example]) -> torch.Tensor:
    """The mean loss of the trained tokens; logits are computed for these alone."""
    length = max(len(ids) for ids, _ in batch)
    pad = model.config.pad_token_id
    ids = torch.tensor([ids + [pad] * (length - len(ids)) for ids, _ in batch])
    mask = torch.tensor([[1] * len(ids) + [0] * (length - len(ids)) for ids, _ in batch])
    trained = torch.tensor([flags + [False] * (length - len(flags)) for _, flags in batch])[:, 1:]
    with torch.autocast("cpu", torch.bfloat16):
        hidden = model.base_model(
            input_ids=ids[:, :-1], attention_mask=mask[:, :-1], use_cache=False
        ).last_hidden_state
        logits = model.lm_head(hidden[trained])
    return cross_entropy(logits.float(), ids[:, 1:][trained])


def _batches(encode: Encode, schedule: Schedule) -> Iterator[list[Example]]:
    """Batches of about `batch_tokens` tokens, without end; a pass draws new wordings and names."""
    random_ = random.Random(schedule.seed)
    for number in range(1_000_000):
        examples = encode(schedule.rows(schedule.seed * 1_000_000 + number))
        batches = _by_length(examples, schedule.batch_tokens)
        random_.shuffle(batches)
        yield from batches


def _by_length(examples: list[Example], batch_tokens: int) -> list[list[Example]]:
    batches: list[list[Example]] = [[]]
    for example in sorted(examples, key=lambda example: len(example[0])):
        if len(example[0]) * (len(batches[-1]) + 1) > batch_tokens:
            batches.append([])
        batches[-1].append(example)
    return batches
