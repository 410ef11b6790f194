"""Whether a network's rows can lie in the slots of one cache: what it keeps, and a trial."""

from typing import Any

import torch
from transformers import DynamicCache

from tuneglm.models.family import Family
from tuneglm.models.named_adapters import BASE, NamedAdapters
from tuneglm.writing.apart import Apart
from tuneglm.writing.batch import Batch
from tuneglm.writing.places import place
from tuneglm.writing.row import Row, Sampling
from tuneglm.writing.slots import LayerShape, Slots, layer_shapes

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


@torch.inference_mode()
def kept_shapes(model: Any, prompt: list[int]) -> list[LayerShape]:
    """What each layer keeps of a token; empty where that is no list of keys and values."""
    cache = DynamicCache(config=model.config)
    ids = torch.tensor([prompt]).to(model.device)
    model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
    try:
        return layer_shapes(cache)
    except AttributeError:
        return []


def fits_slots(
    model: Any,
    adapters: NamedAdapters,
    family: Family,
    shapes: list[LayerShape],
    prompt: list[int],
) -> bool:
    """Whether rows in slots are what they are apart: tried, since networks differ in what they ask.

    Two rows of unlike length, so that each sees columns that are not its own.
    """
    if not shapes or not _has_plain_attention(model.config):
        return False
    long = prompt[:1] + prompt
    slots = Slots(shapes, 2, len(long) + STEPS, model.device)
    ordinary = Apart(model, adapters, 2)
    places = model.config, family
    with adapters.for_rows(adapters.chosen):
        try:
            found = _tried(Batch(model, adapters, slots), [prompt, long], *places)
        except NOT_FOR_SLOTS:
            return False
        wanted = _tried(ordinary, [prompt, long], *places)
    for row, other in zip(found, wanted, strict=True):
        for mine, theirs in zip(row.scores, other.scores, strict=True):
            if not abs(mine.logprob - theirs.logprob) < CLOSE:
                return False
            if mine.token != theirs.token:
                break
    return True


def _has_plain_attention(config: Any) -> bool:
    """Whether every layer sees all tokens before, as far as the config tells."""
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    windowed = getattr(config, "sliding_window", None) and getattr(
        config, "use_sliding_window", True
    )
    return kinds == {"full_attention"} and not windowed


def _tried(
    batch: Batch | Apart, prompts: list[list[int]], config: Any, family: Family
) -> list[Row]:
    rows = [Row(prompt, STEPS, Sampling(temperature=0, logprobs=0), BASE) for prompt in prompts]
    for row in rows:
        place(row, config, family)
        batch.join(row)
    while not all(row.is_ready for row in rows):
        batch.read()
    for _ in range(STEPS):
        batch.write()
    return rows
