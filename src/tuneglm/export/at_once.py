"""What source and result compute, each loaded as a whole, in float32.

Adapters stay beside the weights, and peft merges them: so the result is compared with what
another hand has made.
"""

import gc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from tuneglm.export.source import Source
from tuneglm.export.wanted import Export
from tuneglm.export.weights import kept_wide
from tuneglm.models.adapters import merge_adapters
from tuneglm.models.loading import load_model
from tuneglm.models.packed import PackedBits, pack_linears, unpack_linears
from tuneglm.models.prefix import MODULE
from tuneglm.models.skeleton import skeleton

CPU = torch.device("cpu")
# a model beside what it is made of in passing
ROOM = 1.15

Logits = list[torch.Tensor]  # of each prompt (tokens, vocabulary)


def needed(source: Source) -> int:
    """Bytes."""
    model = skeleton(source.base, source.family)
    return int(sum(each.numel() for each in model.parameters()) * 4 * ROOM)


def computed(
    source: Source, wanted: Export, folder: Path, prompts: Sequence[list[int]]
) -> tuple[Logits, Logits, Logits]:
    """Logits of the source, of the source as the result rounds it, and of the result."""
    exact, expected = _of_source(source, wanted, prompts)
    # modules refer to each other: without it the source would stay beside the result
    gc.collect()
    return exact, expected, _logits(_result(source, wanted, folder), prompts)


def _of_source(
    source: Source, wanted: Export, prompts: Sequence[list[int]]
) -> tuple[Logits, Logits]:
    model = load_model(
        wanted.path,
        family=source.family.name,
        dtype=torch.float32,
        adapters=wanted.adapters,
        device=CPU,
    )
    exact = _logits(model, prompts)
    if wanted.adapter_only:
        return exact, exact
    _round(model, source.dtype, wanted.bits)
    return exact, _logits(model, prompts)


def _round(model: PreTrainedModel, dtype: torch.dtype, bits: PackedBits | None) -> None:
    """Merge, and give every weight the value that it has in the written form."""
    unpack_linears(model, torch.float32)
    merge_adapters(model)
    kept = {MODULE, *kept_wide(model)}
    for name, weight in model.named_parameters():
        if not kept.intersection(name.split(".")):
            weight.data = weight.data.to(dtype)
    if bits is not None:
        pack_linears(model, bits)
        unpack_linears(model, torch.float32)
    for weight in model.parameters():
        weight.data = weight.data.float()


def _result(source: Source, wanted: Export, folder: Path) -> PreTrainedModel:
    """Transformers' names are read by transformers itself, the family's own by us."""
    if wanted.adapter_only:
        return load_model(
            source.base,
            family=source.family.name,
            dtype=torch.float32,
            adapters=[folder],
            device=CPU,
        )
    if source.layout is not None:
        return load_model(folder, family=source.family.name, dtype=torch.float32, device=CPU)
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return model.eval()


@torch.inference_mode()
def _logits(model: Any, prompts: Sequence[list[int]]) -> Logits:
    return [model(torch.tensor([ids])).logits[0].float() for ids in prompts]
