"""How many rows of what length there is memory for, and in what form the network keeps them."""

from dataclasses import dataclass
from typing import Any

import torch
from transformers import DynamicCache

from tuneglm.api.apart import Apart
from tuneglm.api.batch import Batch
from tuneglm.api.places import place
from tuneglm.api.row import Row, Sampling
from tuneglm.api.slots import LayerShape, Slots, layer_shapes
from tuneglm.errors import ConfigError
from tuneglm.generate import ChatModel
from tuneglm.models.named_adapters import BASE
from tuneglm.plan.capacity import device_memory, gib, resident
from tuneglm.serve_config import ServeConfig

SHARE = {"cuda": 0.8}
OTHER_SHARE = 0.25
MOST_SLOTS = {"cuda": 64}
OTHER_SLOTS = 16
LONGEST, SHORTEST = 8192, 64
# steps of a trial, and how far from the ordinary way a probability may be
STEPS, CLOSE = 4, 0.1
NOT_FOR_SLOTS = (
    AttributeError,
    IndexError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True)
class Room:
    """`slots` rows of `context` tokens each, and the bytes that they take."""

    slots: int
    context: int
    size: int

    def __str__(self) -> str:
        return f"{self.slots} answers at once, {self.context:,} tokens each ({gib(self.size)} GiB)"


def batch_for(chat: ChatModel, config: ServeConfig) -> tuple[Batch | Apart, Room]:
    """An empty batch for a model, and its room; raises ConfigError where memory is short."""
    prompt = chat.prompt([{"role": "user", "content": "1 2 3"}])
    shapes = _shapes(chat, prompt)
    room = room_for(chat.model, shapes, config)
    if shapes and _has_plain_attention(chat.model.config) and _agrees(chat, shapes, prompt):
        slots = Slots(shapes, room.slots, room.context, chat.model.device)
        return Batch(chat.model, chat.adapters, slots), room
    return Apart(chat.model, chat.adapters, room.slots), room


def room_for(model: Any, shapes: list[LayerShape], config: ServeConfig) -> Room:
    """By the options, and by the memory that is free."""
    kind = model.device.type
    token = sum(shape.size for shape in shapes) or 1
    limit: int = getattr(model.config, "max_position_embeddings", None) or LONGEST
    context = min(config.context or LONGEST, limit)
    held = resident() if kind == "cpu" else torch.cuda.memory_reserved() if kind == "cuda" else 0
    memory = device_memory(model.device)
    free = max(0, (memory or 4 * 2**30) - held)
    budget = int(free * SHARE.get(kind, OTHER_SHARE))
    slots = config.slots or max(
        1, min(MOST_SLOTS.get(kind, OTHER_SLOTS), budget // (token * context) - 1)
    )
    # one more is for moving rows
    if config.context is None:
        context = max(SHORTEST, min(context, budget // (token * (slots + 1))))
    size = token * context * (slots + 1)
    if size > free:
        raise ConfigError(
            f"{slots} answers of {context:,} tokens take {gib(size)} GiB; {gib(free)} are free.",
            "lower --slots or --context",
        )
    return Room(slots, context, size)


@torch.inference_mode()
def _shapes(chat: ChatModel, prompt: list[int]) -> list[LayerShape]:
    """What each layer keeps; empty where that is no list of keys and values."""
    cache = DynamicCache(config=chat.model.config)
    ids = torch.tensor([prompt]).to(chat.model.device)
    chat.model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
    try:
        return layer_shapes(cache)
    except AttributeError:
        return []


def _has_plain_attention(config: Any) -> bool:
    """Whether every layer sees all tokens before, as far as the config tells."""
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    windowed = getattr(config, "sliding_window", None) and getattr(
        config, "use_sliding_window", True
    )
    return kinds == {"full_attention"} and not windowed


def _agrees(chat: ChatModel, shapes: list[LayerShape], prompt: list[int]) -> bool:
    """Whether rows in slots are what they are apart: tried, since networks differ in what they ask.

    Two rows of unlike length, so that each sees columns that are not its own.
    """
    long = prompt[:1] + prompt
    slots = Slots(shapes, 2, len(long) + STEPS, chat.model.device)
    trial = Batch(chat.model, chat.adapters, slots)
    ordinary = Apart(chat.model, chat.adapters, 2)
    try:
        found = _tried(chat, trial, [prompt, long])
    except NOT_FOR_SLOTS:
        return False
    for row, other in zip(found, _tried(chat, ordinary, [prompt, long]), strict=True):
        for mine, theirs in zip(row.scores, other.scores, strict=True):
            if not abs(mine.logprob - theirs.logprob) < CLOSE:
                return False
            if mine.token != theirs.token:
                break
    return True


def _tried(chat: ChatModel, batch: Batch | Apart, prompts: list[list[int]]) -> list[Row]:
    rows = [Row(prompt, STEPS, Sampling(temperature=0, logprobs=0), BASE) for prompt in prompts]
    for row in rows:
        place(row, chat.model.config, chat.family)
        batch.join(row)
    while not all(row.is_ready for row in rows):
        batch.read()
    for _ in range(STEPS):
        batch.write()
    return rows
