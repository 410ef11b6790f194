"""Whether what was written is what it was made of: both are loaded, and asked the same.

source ──float32──▶ logits ──────────────────▶ how far rounding took the result from it
   └─ merged, rounded as it was written ─────▶ what the result must give again

The second comparison is exact but for the order of sums, in any width; so a weight that
went astray is told from one that was rounded.
"""

import gc
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from tuneglm.errors import DataError
from tuneglm.export.source import Source
from tuneglm.export.streamed import kept_wide
from tuneglm.export.wanted import Export
from tuneglm.models.adapters import merge_adapters
from tuneglm.models.loading import load_model, load_tokenizer
from tuneglm.models.packed import PackedBits, pack_linears, unpack_linears
from tuneglm.models.prefix import MODULE
from tuneglm.models.prompt import example_of
from tuneglm.models.skeleton import skeleton
from tuneglm.plan.capacity import device_memory, gib, resident

CPU = torch.device("cpu")
TEXTS = (
    "你好，请介绍一下你自己。",
    "Write a function that adds two numbers.\n\tdef add(a, b):",
    "1 + 2 = 3；π ≈ 3.14159 😀",
)
# of the spread of the logits, and of what rounding itself does to them: where a weight was
# merged at once, and where peft rounded it on the way
BOUND, OF_ROUNDING, OF_SEVERAL = 2e-3, 0.25, 4.0
# a model beside what it is made of in passing
ROOM = 1.15


@dataclass(frozen=True)
class Checked:
    """What the comparison found.

    difference  largest one between a logit of the result and of its source
    spread      from the lowest logit to the highest
    same        prompts of `prompts` whose likeliest next token is the same
    problem     what makes the result another model; "" where it is none
    has_tokenizer
                whether the result brings one, whose ids were compared
    """

    difference: float
    spread: float
    same: int
    prompts: int
    problem: str = ""
    has_tokenizer: bool = True

    def __str__(self) -> str:
        """One line."""
        ids = "the same token ids; " if self.has_tokenizer else ""
        return (
            f"loaded again: {ids}logits differ by {self.difference:.2g} at most, of "
            f"{self.spread:.0f} between the lowest and the highest; the same next token for "
            f"{self.same} of {self.prompts} prompts"
        )


def compare(
    source: Source, wanted: Export, folder: Path, *, streamed: bool
) -> tuple[Checked | None, str]:
    """The comparison, or why there is none; `streamed`: each weight was rounded once."""
    needed, free = _needed(source), device_memory(CPU)
    if free is not None and needed > free - resident():
        return None, (
            f"not loaded again: {gib(needed)} GiB are needed, {gib(free - resident())} are free"
        )
    own = load_tokenizer(wanted.path, family=wanted.family)
    prompts, problem = _prompts(source, own), ""
    if not wanted.adapter_only:
        written = load_tokenizer(folder, family=source.family.name)
        problem = "" if prompts == _prompts(source, written) else "its tokenizer gives other ids"
    exact, expected = _of_source(source, wanted, prompts)
    got = _logits(_result(source, wanted, folder), prompts)
    allowed = OF_ROUNDING if streamed else OF_SEVERAL
    judged = _judged(exact, expected, got, (problem, allowed))
    return replace(judged, has_tokenizer=not wanted.adapter_only), ""


def _needed(source: Source) -> int:
    model = skeleton(source.base, source.family)
    return int(sum(each.numel() for each in model.parameters()) * 4 * ROOM)


def _prompts(source: Source, tokenizer: Any) -> list[list[int]]:
    ids = [list(tokenizer(text)["input_ids"]) for text in TEXTS]
    examples = [example_of([{"role": "user", "content": text}], ()) for text in TEXTS]
    try:
        rendered = source.family.render(tokenizer, examples, generation_prompt=True)
    except DataError:
        # a model that was not made for talking has no form for it
        return ids
    return ids + [each.ids for each in rendered]


def _of_source(
    source: Source, wanted: Export, prompts: Sequence[list[int]]
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Logits of the source as it is, and as the result rounds it."""
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
def _logits(model: Any, prompts: Sequence[list[int]]) -> list[torch.Tensor]:
    """Of each prompt (tokens, vocabulary)."""
    try:
        return [model(torch.tensor([ids])).logits[0].float() for ids in prompts]
    finally:
        gc.collect()


def _judged(
    exact: Sequence[torch.Tensor],
    expected: Sequence[torch.Tensor],
    got: Sequence[torch.Tensor],
    known: tuple[str, float],
) -> Checked:
    """`known`: what is wrong already, and how much of rounding's own effect is right."""

    def largest(first: Sequence[torch.Tensor], second: Sequence[torch.Tensor]) -> float:
        return max(float((a - b).abs().max()) for a, b in zip(first, second, strict=True))

    spread = max(float(each.max() - each.min()) for each in exact)
    rounding, astray = largest(exact, expected), largest(expected, got)
    problem, allowed = known
    bound = max(BOUND * spread, allowed * rounding)
    # what is no number is no difference that is small
    if not problem and not astray <= bound:
        problem = f"its logits differ by {astray:.2g}, which rounding does not explain"
    same = sum(int(a[-1].argmax() == b[-1].argmax()) for a, b in zip(exact, got, strict=True))
    return Checked(largest(exact, got), spread, same, len(exact), problem)
