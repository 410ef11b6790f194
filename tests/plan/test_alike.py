"""What is seen once and counted as often is what would be seen each time."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from tests.test_plan import FLOAT32, only_config, step
from tuneglm.models import attention
from tuneglm.models.pieces import attend_pieces
from tuneglm.plan import step_memory as module
from tuneglm.plan.alike import of_few_lengths
from tuneglm.plan.batch_shape import Batch
from tuneglm.plan.step_memory import step_memory
from tuneglm.stages.head_loss import answered
from tuneglm.stages.question import Question
from tuneglm.stages.sft import summed_loss


@pytest.mark.parametrize("lengths", [(40,), (7, 40), (12, 33, 90, 5, 61, 44, 28)])
def test_few_lengths_have_the_rows_the_tokens_and_the_longest(lengths: tuple[int, ...]) -> None:
    few = of_few_lengths(lengths)
    assert (len(few), sum(few), max(few)) == (len(lengths), sum(lengths), max(lengths))
    assert len(set(few)) <= 3


@pytest.fixture
def see_every(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From its call on rows and parts are seen each by itself."""

    def see() -> None:
        monkeypatch.setattr(module, "of_few_lengths", lambda each: each)
        monkeypatch.setattr(module, "few_parts", lambda _, parts: parts)
        monkeypatch.setattr(module, "attend_alike", None)

    return see


@pytest.mark.parametrize("method", ["lora", "p_tuning"])
def test_rows_and_parts_of_the_head_are_counted_as_often_as_they_are(
    tmp_path: Path, method: str, see_every: Callable[[], None]
) -> None:
    lengths = (150, 33, 90, 55, 61, 44, 128, 72)
    batch = Batch(1, sum(lengths), 600, lengths)
    # of a vocabulary whose logits are made in several parts
    folder = only_config(tmp_path, vocab_size=40_000)
    made: Any = step(folder, f"method={method}", *FLOAT32, batch=batch)
    few = step_memory(made)
    see_every()
    every = step_memory(made)
    assert few.fullest.total == pytest.approx(every.fullest.total, rel=0.01)
    assert few.operations == pytest.approx(every.operations, rel=0.01)
    assert few.moved == pytest.approx(every.moved, rel=0.05)


@pytest.mark.parametrize("long", [1, 3])
def test_the_memory_of_rows_of_very_unlike_lengths_is_that_of_all(
    tmp_path: Path, long: int, see_every: Callable[[], None]
) -> None:
    """Though of several long ones attention's products are counted too few."""
    lengths = (*[50] * 20, *[4000] * long, *[50] * 20)
    batch = Batch(1, sum(lengths), 600, lengths)
    made: Any = step(only_config(tmp_path), "method=lora", *FLOAT32, batch=batch)
    made = replace(made, at_once=batch.tokens)
    few = step_memory(made)
    see_every()
    every = step_memory(made)
    assert few.fullest.total == pytest.approx(every.fullest.total, rel=0.01)
    assert few.kept_apart == pytest.approx(every.kept_apart, rel=0.01)
    assert (few.operations < 0.95 * every.operations) == (long > 1)


class Held:
    """A plan in another thread, held on where its step begins until it is let go."""

    def __init__(self, made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self._begun, self._let_go = Event(), Event()
        self._plan = Thread(target=step_memory, args=(made,), daemon=True)
        with monkeypatch.context() as patched:
            patched.setattr(module, "summed_loss", self._held)
            self._plan.start()
            assert self._begun.wait(60)

    def _held(self, *asked: Any) -> Tensor:
        self._begun.set()
        assert self._let_go.wait(60)
        return summed_loss(*asked)

    def end(self) -> None:
        """Let it go to its end."""
        self._let_go.set()
        self._plan.join(60)
        assert not self._plan.is_alive()


def test_who_trains_while_others_plan_leaves_nothing_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor afterwards, though the plans overlap."""
    lengths, vocabulary = (7, 9, 7), 40_000
    batch = Batch(1, sum(lengths), 20, lengths)
    made: Any = step(only_config(tmp_path), "method=lora", *FLOAT32, batch=batch)
    head, states = nn.Linear(8, vocabulary, bias=False), torch.randn(1, 900, 8)
    targets = torch.randint(vocabulary, states.shape[:2])
    true = cross_entropy(head(states).flatten(0, 1), targets.flatten(), reduction="sum")

    def trained() -> Tensor:
        question = Question(targets, whole=True)
        answered(head, states, question)
        assert question.total is not None
        return question.total

    first = Held(made, monkeypatch)
    torch.testing.assert_close(trained(), true)
    second = Held(made, monkeypatch)
    first.end()
    torch.testing.assert_close(trained(), true)
    second.end()
    torch.testing.assert_close(trained(), true)
    assert attention.attend_pieces is attend_pieces
