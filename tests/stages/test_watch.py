"""Runs that go astray: what is said, and in which step."""

import logging
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.conftest import Configure
from tuneglm.data.encoded import Encoded
from tuneglm.data.messages import Source
from tuneglm.errors import DivergedError
from tuneglm.stages.watch import SOURCES, SourcedCollator, Watch
from tuneglm.training import train

ALONE: Any = SimpleNamespace(
    mixed_precision="no", num_processes=1, is_main_process=True, scaler=None
)


def judge(
    watch: Watch,
    step: int,
    loss: float,
    *,
    norm: float = 1.0,
    rate: float = 1.0,
    tokens: int = 7,
    steps: int = 100,
) -> None:
    """One step of one batch, whose two rows stand in lines 3 and 9 of a file."""
    rows = [Encoded([], [], [], Source("my", "my.json", line, line)) for line in (3, 9)]
    batch = SourcedCollator(lambda items: {"input_ids": len(items)})([tuple(rows)])
    assert watch.taken(batch) == {"input_ids": 1}
    watch.batch(torch.tensor(loss), torch.tensor(tokens))
    state: Any = SimpleNamespace(global_step=step - 1, max_steps=steps)
    watch.step(state, norm, rate)


@pytest.mark.parametrize(
    ("named", "sentence"),
    [
        ({"loss": math.nan}, "At step 2 the loss is not a number any more (nan)"),
        ({"loss": math.inf}, "At step 2 the loss is not a number any more (inf)"),
        ({"loss": 1.0, "norm": math.nan}, "At step 2 the gradient is not a number any more"),
        ({"loss": math.nan, "tokens": 0}, "At step 2 no token of the batch is trained"),
    ],
)
def test_what_stops_a_run(named: Any, sentence: str) -> None:
    watch = Watch(ALONE)
    judge(watch, 1, 2.0)
    with pytest.raises(DivergedError) as caught:
        judge(watch, 2, **named)
    assert caught.value.sentence.startswith(sentence)
    assert caught.value.sentence.endswith(", on the rows `my.json:3`, `my.json:9`.")
    assert caught.value.hint


def test_a_gradient_that_float16_scales_down_again_is_none() -> None:
    """A step whose gradient overflowed is left out; where no scale helps, the run stops."""
    scaler = SimpleNamespace(get_scale=lambda: scale)
    fp16: Any = SimpleNamespace(**vars(ALONE) | {"mixed_precision": "fp16", "scaler": scaler})
    watch = Watch(fp16)
    for step in range(26):
        scale = 2.0 ** (16 - step)
        judge(watch, step + 1, 2.0, norm=math.inf)
    scale = 2.0**-11
    with pytest.raises(DivergedError, match="At step 27 the gradient is not a number any more"):
        judge(watch, 27, 2.0, norm=math.inf)


@pytest.mark.parametrize(
    ("steps", "sentence"),
    [
        ([{"loss": 0.0, "norm": 0.0}] * 3, "At step 1 the loss is exactly 0"),
        ([{"loss": 2.0, "norm": 0.0}] * 3, "At step 1 the gradient is exactly 0"),
        ([{"loss": 2.0, "rate": 0.0}] * 12, "The learning rate was 0 in step 2 and all before it"),
        ([{"loss": 2.0}] * 12 + [{"loss": 9.0}] * 12, "The loss rises: 2 in the first steps, 9"),
    ],
)
def test_what_is_said_once(
    caplog: pytest.LogCaptureFixture, steps: list[Any], sentence: str
) -> None:
    watch = Watch(ALONE)
    with caplog.at_level(logging.WARNING, "tuneglm"):
        for number, named in enumerate(steps, 1):
            judge(watch, number, **named)
    (message,) = caplog.messages
    assert message.startswith(sentence)


def test_a_run_of_one_step_is_told_to_take_more(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "tuneglm"):
        judge(Watch(ALONE), 1, 2.0, rate=0.0, steps=1)
    (message,) = caplog.messages
    assert message.startswith("The learning rate was 0 in the only step")
    assert message.endswith("Train more steps or epochs.")


def test_ordinary_steps_pass_in_silence(caplog: pytest.LogCaptureFixture) -> None:
    watch = Watch(ALONE)
    for step in range(1, 60):
        # 5 → 0.02 in waves, and once far above
        judge(watch, step, 40.0 if step == 30 else 5 / step + 0.3 * math.sin(step) ** 2)
    assert not caplog.messages


def test_a_run_is_told_in_the_step_where_it_goes_astray(
    configure: Configure, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = ("method=full", "training.learning_rate=0.1", "training.max_steps=3")
    train(configure(tmp_path / "out", *settings))
    (message,) = [each for each in caplog.messages if each.startswith("The loss rises")]
    assert " at step 3. " in message or " at step 2. " in message


# of a vocabulary of 65,024
BLIND = math.log(65024)


@pytest.mark.parametrize(
    ("losses", "said"),
    [
        ([2.0, 3.0, 40.0], "The loss rises: 3 at most in the first steps, 40 at step 3."),
        ([2.0] * 30 + [23.0], "The loss rises: 2 at most in the first steps, 23 at step 31."),
        # settled at what a model says that knows nothing any more
        ([2.0, 3.0, 12.0, 14.0, 11.5], "The loss rises: 3 at most in the first steps, 11.5 at"),
    ],
)
def test_a_loss_that_no_learning_has_is_said_at_once(
    caplog: pytest.LogCaptureFixture, losses: list[float], said: str
) -> None:
    watch = Watch(ALONE, blind=BLIND)
    for step, loss in enumerate(losses, 1):
        assert not caplog.messages
        judge(watch, step, loss, tokens=64)
    for step in range(len(losses) + 1, 40):
        judge(watch, step, 30.0, tokens=64)
    (message,) = caplog.messages
    assert message.startswith(said)


@pytest.mark.parametrize(
    ("losses", "tokens"),
    [
        # rows of noise, each a step of its own
        ([2.0, 16.0, 2.0, 17.0, 18.0, 2.0, 16.0], 64),
        # a wrong label that was known well, and nothing else in the step
        ([2.0, 0.1, 24.0, 0.1, 30.0, 25.0, 26.0], 2),
        # a model that knows nothing yet, or whose numbers are far too large
        ([11.2, 11.5, 11.3, 11.2, 11.1], 64),
        ([30.0, 45.0, 40.0, 38.0], 64),
        # a model that forgets, but knows more than nothing: ten steps tell
        ([1.0] * 10 + [9.0] * 9, 64),
    ],
)
def test_a_row_that_is_noise_is_no_run_that_goes_astray(
    caplog: pytest.LogCaptureFixture, losses: list[float], tokens: int
) -> None:
    watch = Watch(ALONE, blind=BLIND)
    for step, loss in enumerate(losses, 1):
        judge(watch, step, loss, tokens=tokens)
    assert not caplog.messages


def test_each_of_several_processes_needs_enough_tokens(caplog: pytest.LogCaptureFixture) -> None:
    two: Any = SimpleNamespace(**vars(ALONE) | {"num_processes": 2})
    watch = Watch(two, blind=BLIND)
    for step, loss in enumerate([2.0, 40.0], 1):
        judge(watch, step, loss, tokens=30)
    assert not caplog.messages


def test_a_batch_is_whole_without_sources() -> None:
    assert SourcedCollator(lambda _: {})([Encoded([], [], [])])[SOURCES].names == ()
