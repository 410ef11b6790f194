"""What is seen once and counted as often is what would be seen each time."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from tests.test_plan import FLOAT32, only_config, step
from tuneglm.plan import step_memory as module
from tuneglm.plan.alike import of_few_lengths
from tuneglm.plan.batch_shape import Batch
from tuneglm.plan.step_memory import step_memory


@pytest.mark.parametrize("lengths", [(40,), (7, 40), (12, 33, 90, 5, 61, 44, 28)])
def test_few_lengths_have_the_rows_the_tokens_and_the_longest(lengths: tuple[int, ...]) -> None:
    few = of_few_lengths(lengths)
    assert (len(few), sum(few), max(few)) == (len(lengths), sum(lengths), max(lengths))
    assert len(set(few)) <= 3


@pytest.mark.parametrize("method", ["lora", "p_tuning"])
def test_rows_and_parts_of_the_head_are_counted_as_often_as_they_are(
    tmp_path: Path, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths = (150, 33, 90, 55, 61, 44, 128, 72)
    batch = Batch(1, sum(lengths), 600, lengths)
    # of a vocabulary whose logits are made in several parts
    folder = only_config(tmp_path, vocab_size=40_000)
    made: Any = step(folder, f"method={method}", *FLOAT32, batch=batch)
    few = step_memory(made)
    monkeypatch.setattr(module, "of_few_lengths", lambda each: each)
    monkeypatch.setattr(module, "seen_once", lambda _: nullcontext())
    every = step_memory(made)
    assert few.fullest.total == pytest.approx(every.fullest.total, rel=0.01)
    assert few.operations == pytest.approx(every.operations, rel=0.01)
    assert few.moved == pytest.approx(every.moved, rel=0.05)
