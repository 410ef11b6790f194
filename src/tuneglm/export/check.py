"""Whether what was written is what it was made of: both are loaded, and asked the same.

source ──float32──▶ logits ──────────────────▶ how far rounding took the result from it
   └─ merged, rounded as it was written ─────▶ what the result must give again

The second comparison is exact but for the order of sums, in any width; so a weight that
went astray is told from one that was rounded.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tuneglm.errors import DataError
from tuneglm.export import at_once, by_turns
from tuneglm.export.source import Source
from tuneglm.export.wanted import Export
from tuneglm.models.loading import load_tokenizer
from tuneglm.models.merging import OtherUpdateError
from tuneglm.models.prompt import example_of
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
AGAIN, BY_TURNS = "loaded again", "loaded again, one weight at a time"


@dataclass(frozen=True)
class Checked:
    """What the comparison found.

    difference  largest one between a logit of the result and of its source
    spread      from the lowest logit to the highest
    same        prompts of `prompts` whose likeliest next token is the same
    problem     what makes the result another model; "" where it is none
    has_tokenizer
                whether the result brings one, whose ids were compared
    way         how the result was loaded
    """

    difference: float
    spread: float
    same: int
    prompts: int
    problem: str = ""
    has_tokenizer: bool = True
    way: str = AGAIN

    def __str__(self) -> str:
        """One line."""
        ids = "the same token ids; " if self.has_tokenizer else ""
        return (
            f"{self.way}: {ids}logits differ by {self.difference:.2g} at most, of "
            f"{self.spread:.0f} between the lowest and the highest; the same next token for "
            f"{self.same} of {self.prompts} prompts"
        )


def compare(
    source: Source, wanted: Export, folder: Path, *, streamed: bool
) -> tuple[Checked | None, str]:
    """The comparison, or why there is none; `streamed`: each weight was rounded once.

    By turns only where the models do not fit into the memory: there the same code adds the
    adapters that added them for the result.
    """
    way, shortage = _way(source, streamed=streamed)
    if not way:
        return None, shortage
    own = load_tokenizer(wanted.path, family=wanted.family)
    prompts, problem = _prompts(source, own), ""
    if not wanted.adapter_only:
        written = load_tokenizer(folder, family=source.family.name)
        problem = "" if prompts == _prompts(source, written) else "its tokenizer gives other ids"
    try:
        computed = at_once.computed if way == AGAIN else by_turns.computed
        exact, expected, got = computed(source, wanted, folder, prompts)
    except OtherUpdateError:
        # an adapter alone, on a base in another library's bits
        return None, shortage
    found = _Found(way, problem, OF_ROUNDING if streamed else OF_SEVERAL, not wanted.adapter_only)
    return _judged(exact, expected, got, found), ""


def _way(source: Source, *, streamed: bool) -> tuple[str, str]:
    """How the result is to be loaded, "" where it cannot be; and what is short for the usual way.

    By turns is for what was written weight by weight: the rest needs the model as a whole.
    """
    if (there := device_memory(CPU)) is None:
        return AGAIN, ""
    free, needed = there - resident(), at_once.needed(source)
    if needed <= free:
        return AGAIN, ""
    least = min(needed, by_turns.needed(source)) if streamed else needed
    shortage = f"not {AGAIN}: {gib(least)} GiB are needed, {gib(free)} are free"
    return BY_TURNS if least <= free else "", shortage


def _prompts(source: Source, tokenizer: Any) -> list[list[int]]:
    ids = [list(tokenizer(text)["input_ids"]) for text in TEXTS]
    examples = [example_of([{"role": "user", "content": text}], ()) for text in TEXTS]
    try:
        rendered = source.family.render(tokenizer, examples, generation_prompt=True)
    except DataError:
        # a model that was not made for talking has no form for it
        return ids
    return ids + [each.ids for each in rendered]


@dataclass(frozen=True)
class _Found:
    """What is known before the logits are compared.

    allowed  how much of rounding's own effect is right
    """

    way: str
    problem: str
    allowed: float
    has_tokenizer: bool


def _judged(
    exact: Sequence[torch.Tensor],
    expected: Sequence[torch.Tensor],
    got: Sequence[torch.Tensor],
    found: _Found,
) -> Checked:
    """Logits of the source, of the source as it was rounded, and of the result."""

    def largest(first: Sequence[torch.Tensor], second: Sequence[torch.Tensor]) -> float:
        return max(float((a - b).abs().max()) for a, b in zip(first, second, strict=True))

    spread = max(float(each.max() - each.min()) for each in exact)
    rounding, astray = largest(exact, expected), largest(expected, got)
    problem = found.problem
    # what is no number is no difference that is small
    if not problem and not astray <= max(BOUND * spread, found.allowed * rounding):
        problem = f"its logits differ by {astray:.2g}, which rounding does not explain"
    same = sum(int(a[-1].argmax() == b[-1].argmax()) for a, b in zip(exact, got, strict=True))
    return Checked(
        *(largest(exact, got), spread, same, len(exact), problem),
        has_tokenizer=found.has_tokenizer,
        way=found.way,
    )
