"""How many rows of what length there is memory for, and in what form the network keeps them."""

from dataclasses import dataclass
from typing import Any

import torch

from tuneglm.errors import ConfigError
from tuneglm.generate import ChatModel
from tuneglm.plan.capacity import device_memory, gib, resident
from tuneglm.serve_config import ServeConfig
from tuneglm.writing.apart import Apart
from tuneglm.writing.batch import Batch
from tuneglm.writing.fitting import fits_slots, kept_shapes
from tuneglm.writing.slots import LayerShape, Slots, slots_held

SHARE = {"cuda": 0.8}
OTHER_SHARE = 0.25
MOST_SLOTS = {"cuda": 64}
OTHER_SLOTS = 16
LONGEST, SHORTEST = 8192, 64


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
    shapes = kept_shapes(chat.model, prompt)
    room = room_for(chat.model, shapes, config)
    if fits_slots(chat.model, chat.adapters, chat.family, shapes, prompt):
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
    held_slots = slots_held(slots)
    if config.context is None:
        context = max(SHORTEST, min(context, budget // (token * held_slots)))
    size = token * context * held_slots
    if size > free:
        raise ConfigError(
            f"{slots} answers of {context:,} tokens take {gib(size)} GiB; {gib(free)} are free.",
            "lower --slots or --context",
        )
    return Room(slots, context, size)
