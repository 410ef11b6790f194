"""How a step's cost grows with each of its sizes: counted, so that no machine's noise hides it.

What is counted at doubling sizes is held against a polynomial: operations of attention grow with
the square of the row, all else on a line that need not begin at nothing, and what a batch holds
not at all. The measured twin is benchmarks/training_growth.py.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from transformers import GlmConfig, GlmForCausalLM, TrainingArguments

from tuneglm.data.collate import Collator
from tuneglm.data.encoded import Encoded
from tuneglm.method_config import LoraConfig
from tuneglm.methods import tune
from tuneglm.models import FAMILIES, pieces, products
from tuneglm.models.attention import keep_rows_apart
from tuneglm.models.chatglm.configuration_chatglm import ChatGLMConfig
from tuneglm.models.chatglm.modeling_chatglm import ChatGLMForConditionalGeneration
from tuneglm.plan.ledger import Ledger
from tuneglm.stages import head_blocks
from tuneglm.stages.sft import SftTrainer

HIDDEN, HEADS = 64, 4
GMASK, SOP = 3, 2  # before ChatGLM-6B's answer
WHOLE = 1_000_000  # tokens at once: a pack is never cut into portions
TOLERANCE = 0.05  # of the largest count: sums of a few words, sizes that are made up to even ones


@dataclass(frozen=True)
class Size:
    """A step: the model, and its batch of rows that are as long as each other.

    at_once  tokens of a portion
    """

    family: str = "native"
    layers: int = 2
    vocabulary: int = 512
    rank: int = 4
    row: int = 32
    rows: int = 4
    at_once: int = WHOLE


@dataclass(frozen=True)
class Cost:
    """Of a step: operations of products, bytes moved by all else, bytes held at most.

    Neither the weights are held against it, nor the batch's ids and a portion's copy of them.
    """

    operations: float
    moved: float
    held: float


def network(size: Size) -> Any:
    shape = {
        "vocab_size": size.vocabulary,
        "hidden_size": HIDDEN,
        "num_hidden_layers": size.layers,
        "num_attention_heads": HEADS,
        "intermediate_size": 2 * HIDDEN,
        "pad_token_id": 0,
    }
    if size.family == "chatglm":
        tokens = {"bos_token_id": SOP, "eos_token_id": 5, "gmask_token_id": GMASK}
        tokens["mask_token_id"] = 4
        return ChatGLMForConditionalGeneration(ChatGLMConfig(**shape, **tokens))
    keys = {"num_key_value_heads": 2, "head_dim": HIDDEN // HEADS}
    return GlmForCausalLM(GlmConfig(**shape, **keys))


def row_of(length: int) -> Encoded:
    """Half of it context, half of it answer."""
    half = length // 2
    ids = [*([7] * (half - 1)), GMASK, SOP, *([9] * (length - half - 1))]
    return Encoded(ids, [-100] * half + ids[half:], [False] * length)


def cost(size: Size, folder: Path) -> Cost:
    """One step of the Trainer on a pack of rows, as `train` makes it."""
    family = FAMILIES[size.family]
    model = network(size)
    keep_rows_apart(model, family.place_rows)
    tuned = tune(model, LoraConfig(rank=size.rank), family)
    arguments = TrainingArguments(str(folder), use_cpu=True, report_to="none", bf16=False)
    collate = Collator(0, packed=True)
    trainer = SftTrainer(tuned, at_once=size.at_once, args=arguments, data_collator=collate)
    step = collate([row_of(size.row)] * size.rows)
    tuned.model.train()
    ledger = Ledger(size.vocabulary)
    with ledger:
        ledger.hold(tuned.model.parameters(), "weights")
        ledger.phase = "step"
        trainer.training_step(tuned.model, step, num_items_in_batch=size.rows * size.row // 2)
    peak = ledger.peaks["step"]
    ids = 2 * sum(each.nbytes for each in step.values())
    return Cost(ledger.operations, ledger.moved, peak.total - peak.parts["weights"] - ids)


def excess(sizes: Sequence[float], counts: Sequence[float], degree: int) -> float:
    """By which share of the largest count they outgrow a polynomial; at most 0 where they do not.

    Its divided differences of its degree are all the same, and those of what grows faster rise.
    """
    differences = list(counts)
    for order in range(1, degree + 1):
        pairs = pairwise(differences)
        differences = [
            (after - before) / (sizes[place + order] - sizes[place])
            for place, (before, after) in enumerate(pairs)
        ]
    return (differences[-1] - differences[0]) * sizes[-1] ** degree / counts[-1]


def of_rows(row: Callable[[int], int], family: str) -> dict[int, Size]:
    """Packs of ever more tokens, in rows of so many."""
    packs = (64, 128, 256, 512)
    return {each: Size(family, row=row(each), rows=each // row(each)) for each in packs}


def of(field: str, *values: int, **others: Any) -> dict[int, Size]:
    return {value: replace(Size(), **{field: value}, **others) for value in values}


# axis → its sizes, and the degrees in which operations, moved and held bytes may grow
AXES: dict[str, tuple[dict[int, Size], tuple[int, int, int]]] = {
    "context, causal, one row": (of_rows(lambda tokens: tokens, "native"), (2, 1, 1)),
    "context, causal, short rows": (of_rows(lambda _: 32, "native"), (1, 1, 1)),
    "context, prefix, one row": (of_rows(lambda tokens: tokens, "chatglm"), (2, 1, 1)),
    "context, prefix, short rows": (of_rows(lambda _: 32, "chatglm"), (1, 1, 1)),
    "batch": (of("rows", 4, 8, 16, 32, at_once=64), (1, 1, 0)),
    "rank": (of("rank", 4, 8, 16, 32), (1, 1, 1)),
    "vocabulary": (of("vocabulary", 512, 1024, 2048, 4096), (1, 1, 1)),
    "layers": (of("layers", 1, 2, 4, 8), (1, 1, 1)),
}


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever library this machine would choose; several blocks of words in each vocabulary.

    And every row attended as a long one is.
    """
    monkeypatch.setattr(products, "by_onednn", lambda: False)
    monkeypatch.setattr(pieces, "FEWEST_KEYS", 0)
    monkeypatch.setattr(head_blocks, "FEWEST_WORDS", 128)
    monkeypatch.setattr(head_blocks, "BLOCK_BYTES", 128 * 64 * 4)


@pytest.mark.parametrize("axis", AXES)
def test_no_count_grows_faster_than_its_mathematics(axis: str, tmp_path: Path) -> None:
    sizes, degrees = AXES[axis]
    costs = [cost(size, tmp_path) for size in sizes.values()]
    for name, degree in zip(("operations", "moved", "held"), degrees):
        counts = [getattr(each, name) for each in costs]
        beyond = excess(list(sizes), counts, degree)
        assert beyond <= TOLERANCE, f"{axis}: {name} {counts} outgrow degree {degree}"


@pytest.mark.parametrize("degree", [0, 1, 2])
def test_what_grows_faster_is_told(degree: int) -> None:
    sizes = [1, 2, 4, 8]
    assert excess(sizes, [100 + each**degree for each in sizes], degree) <= 0
    assert excess(sizes, [100 + each ** (degree + 1) for each in sizes], degree) > TOLERANCE
