"""Runs that go astray, noticed in the step where it happens, before the weights are changed."""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeVar

from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor
from transformers import TrainerState

from tuneglm.data.collate import Item
from tuneglm.errors import DivergedError
from tuneglm.stages.locate import Place

SOURCES = "sources"
# rows that a sentence names
NAMED = 4
# steps: those whose mean is what the loss begins with, and those in which it may be far above it
BEGINNING = PATIENCE = 10
# steps at a rate of 0 that are worth a word: a warm-up begins with one of them
STILL = 2
# a loss is scaled down so far for float16, and no further
LEAST_SCALE = 2.0**-10
# far above: so many times the beginning and so much more, as a loss near 0 doubles for nothing
RISE, LEAST_RISE = 2.0, 1.0
# Worse than guessing blindly, ln(vocabulary), no model is that learns: such a loss is not waited
# for so long. But one row of noise is, too, where a step has no other: of random ids, 16 and more,
# the demo's model says 1.4 to 1.6 times that. So one step says it from twice that on, below it
# three in a row; and a token alone, as a wrong label is, may cost anything: few are never enough.
FAR_BEYOND, BLIND_STEPS, ENOUGH_TOKENS = 2.0, 3, 16

SMALLER = "take a smaller training.learning_rate; model.dtype=float32 where float16 is too narrow"
SMALLER_OR_BROKEN = (
    "take a smaller training.learning_rate; where the first loss is one already, the "
    "model's own weights are broken"
)

T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sources:
    """Where the rows of a batch stand; carried by the batch itself, which a worker may make.

    kinds  of what kind of task each row is
    """

    names: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()


@dataclass(frozen=True)
class SourcedCollator:
    """A collator whose batches also say where their rows stand."""

    collator: Callable[[Any], dict[str, Any]]

    def __call__(self, items: Sequence[Item]) -> dict[str, Any]:
        """Rows, or groups of rows."""
        rows = [row for item in items for row in (item if isinstance(item, tuple) else (item,))]
        names = tuple(str(row.source) for row in rows if row.source is not None)
        kinds = tuple(row.kind for row in rows)
        return {**self.collator(items), SOURCES: Sources(names, kinds)}


class Watch:
    """Loss, gradient and learning rate of each step: raises DivergedError, or warns once.

    locate          (a batch) → where its numbers first are none, looked for when they are
    trained_tokens  of all steps that were watched, all processes together
    beginning       losses of the first steps, which those to come are judged by
    blind           the loss of guessing blindly
    """

    def __init__(
        self,
        accelerator: Accelerator,
        locate: Callable[[Any], Place | None] = lambda _: None,
        blind: float = math.inf,
    ) -> None:
        self.accelerator, self.locate, self.blind = accelerator, locate, blind
        self.sources, self._inputs = Sources(), dict[str, Any]()
        self._batches: list[tuple[Tensor, Sources]] = []
        self._given: list[dict[str, Any]] = []
        self._tokens: Tensor | int | None = None
        self.trained_tokens = 0
        self.beginning: list[float] = []
        self._highest_rate, self._watched = 0.0, 0
        self._above = self._beyond = 0
        self._said: set[str] = set()

    def taken(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """A batch without its sources, which are kept until its loss is known."""
        inputs = dict(inputs)
        self.sources = inputs.pop(SOURCES, Sources())
        self._inputs = inputs
        return inputs

    def batch(self, loss: Tensor, tokens: Tensor | int | None) -> None:
        """The loss of the batch that was taken, and the trained tokens of its whole step."""
        self._batches.append((loss, self.sources))
        self._given.append(self._inputs)
        self._tokens = tokens

    def step(self, state: TrainerState, norm: float | None, rate: float) -> None:
        """Judge a step whose gradient is known, if its norm is too; raises DivergedError."""
        batches = [(float(loss), sources) for loss, sources in self._batches]
        given, number = self._given, state.global_step + 1
        self._batches, self._given = [], []
        tokens = None if self._tokens is None else int(self._tokens)
        if tokens == 0:
            raise _no_token(number, _named(self._gathered(batches)))
        self.trained_tokens += tokens or 0
        # one that is too large for float16 is scaled down, and the step left out
        is_scaled = self.accelerator.mixed_precision == "fp16"
        is_lost = norm is not None and not math.isfinite(norm) and not is_scaled
        if is_lost or self._is_scaled_away():
            # gradients are shared: every process comes here
            places = self._gathered([self._place(batches, given)])
            place = next((each for each in places if each is not None), None)
            raise _not_finite(number, self._gathered(batches), place)
        if not all(math.isfinite(loss) for loss, _ in batches):
            raise _not_finite(number, batches, self._place(batches, given))
        self._judge_zero(number, sum(loss for loss, _ in batches), norm)
        self._judge_rate(number, state.max_steps, rate)
        loss = sum(loss for loss, _ in batches)
        if not self._is_beyond(number, loss, tokens or 0):
            self._judge_rise(number, loss)

    def _is_scaled_away(self) -> bool:
        """Whether no scale is small enough for float16's gradients."""
        scaler = self.accelerator.scaler
        return scaler is not None and scaler.get_scale() < LEAST_SCALE

    def _place(
        self, batches: Sequence[tuple[float, Sources]], given: Sequence[dict[str, Any]]
    ) -> tuple[Place, str] | None:
        """Where this process's numbers first are none, and the row's name."""
        # where every loss is a number it is a gradient, of any of them
        is_loss = any(not math.isfinite(loss) for loss, _ in batches)
        for (loss, sources), inputs in zip(batches, given, strict=True):
            if is_loss and math.isfinite(loss):
                continue
            place = self.locate(inputs)
            if place is not None:
                return place, _named([(loss, Sources(sources.names[place.row :][:1]))])
        return None

    def _gathered(self, each: list[T]) -> list[T]:
        """Those of all processes."""
        if self.accelerator.num_processes == 1:
            return each
        gathered: list[T] = gather_object(each)
        return gathered

    def _judge_zero(self, step: int, loss: float, norm: float | None) -> None:
        if loss == 0 and norm == 0:
            self._warn(
                "loss",
                f"At step {step} the loss is exactly 0, and so is the gradient: there is nothing "
                "to learn. Where it was not so before, the rows are known by heart: train fewer "
                "epochs, or give more rows.",
            )
        elif norm == 0:
            self._warn(
                "gradient",
                f"At step {step} the gradient is exactly 0: nothing is learnt. Look whether "
                "method.targets reach the weights that the loss depends on.",
            )

    def _judge_rate(self, step: int, steps: int, rate: float) -> None:
        self._highest_rate = max(self._highest_rate, rate)
        self._watched += 1
        # steps that float16's scale leaves out do not move the schedule on
        patience = PATIENCE if self.accelerator.mixed_precision == "fp16" else STILL
        if self._highest_rate == 0 and (step == steps or self._watched == patience):
            which, advice = (
                ("the only step", "Train more steps or epochs.")
                if steps == 1
                else (
                    f"step {step} and all before it",
                    "Raise training.learning_rate where it is 0, or train more steps or epochs.",
                )
            )
            self._warn("rate", f"The learning rate was 0 in {which}: nothing is learnt. {advice}")

    def _is_beyond(self, step: int, loss: float, tokens: int) -> bool:
        """Whether a loss is none that learning has; of the beginning such a step is no part."""
        highest = max(self.beginning, default=math.inf)
        is_enough = tokens >= ENOUGH_TOKENS * self.accelerator.num_processes
        is_beyond = is_enough and loss > max(self.blind, highest * RISE)
        self._beyond = self._beyond + 1 if is_beyond else 0
        if is_beyond and (loss > self.blind * FAR_BEYOND or self._beyond == BLIND_STEPS):
            self._warn_of_rise(f"{highest:.3g} at most", loss, step)
        return is_beyond

    def _judge_rise(self, step: int, loss: float) -> None:
        if len(self.beginning) < BEGINNING:
            self.beginning.append(loss)
            return
        beginning = sum(self.beginning) / BEGINNING
        is_above = loss > beginning * RISE and loss > beginning + LEAST_RISE
        self._above = self._above + 1 if is_above else 0
        if self._above == PATIENCE:
            self._warn_of_rise(f"{beginning:.3g}", loss, step)

    def _warn_of_rise(self, beginning: str, loss: float, step: int) -> None:
        self._warn(
            "rise",
            f"The loss rises: {beginning} in the first steps, {loss:.3g} at step {step}. "
            "Take a smaller training.learning_rate, or a longer training.warmup_steps.",
        )

    def _warn(self, kind: str, sentence: str) -> None:
        if self.accelerator.is_main_process and kind not in self._said:
            self._said.add(kind)
            log.warning(sentence)


def _no_token(step: int, rows: str) -> DivergedError:
    return DivergedError(
        f"At step {step} no token of the batch is trained{rows}.",
        "`tuneglm data show` marks what is trained; raise data.cutoff where answers are cut off, "
        "or leave the rows out",
    )


def _not_finite(
    step: int, batches: Sequence[tuple[float, Sources]], found: tuple[Place, str] | None
) -> DivergedError:
    broken = [(loss, sources) for loss, sources in batches if not math.isfinite(loss)]
    what, hint = "the gradient is not a number any more, though the loss is", SMALLER
    if broken:
        what, hint = f"the loss is not a number any more ({broken[0][0]})", SMALLER_OR_BROKEN
    if found is None:
        return DivergedError(f"At step {step} {what}{_named(broken or batches)}.", hint)
    place, row = found
    at = f"the gradient of `{place.module}`" if place.gradient else f"`{place.module}`"
    if place.weights:
        at, hint = f"{at}, whose weights are none", "its file is broken: download the model again"
    return DivergedError(f"At step {step} {what}; it begins with {at}{row}.", hint)


def _named(batches: Sequence[tuple[float, Sources]]) -> str:
    """`, on the rows …`, the first few of them."""
    names = list(chain.from_iterable(sources.names for _, sources in batches))
    if not names:
        return ""
    rest = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    word = "row" if len(names) == 1 else "rows"
    return f", on the {word} " + ", ".join(f"`{name}`" for name in names[:NAMED]) + rest
