"""plan(config): will it fit, how long is a step, and what else could be chosen.

    config.json → a step on tensors that hold nothing (step_memory.py, kept) → memory by part
    two seconds of measuring (capacity.py)                             → time of a step
    method × bits × gradient checkpointing, each the same way          → the cheapest that fits

Nothing is downloaded but config.json. Rows are looked at where they lie on this disk;
else each is taken to be as long as `data.cutoff` and trained throughout.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch

from tuneglm.config import RunConfig
from tuneglm.errors import ConfigError, ModelError
from tuneglm.methods import check_method, holding_of
from tuneglm.models import family_of
from tuneglm.models.loading import config_folder
from tuneglm.models.precision import Width, best_device
from tuneglm.models.skeleton import skeleton
from tuneglm.models.undivided import undivided
from tuneglm.plan.bits import chosen_bits, with_bits
from tuneglm.plan.capacity import Speed, device_memory, gib, measured_speed
from tuneglm.plan.divided import left_out, sharing_planned
from tuneglm.plan.kept_traces import kept_or_traced
from tuneglm.plan.planned_step import as_if_there, evaluates, other_steps, rows_at_hand, step_of
from tuneglm.plan.records import PROCESS, Choice, Foreseen, Memory, Plan, foreseen, memory_of
from tuneglm.plan.step import Step
from tuneglm.plan.step_memory import StepMemory
from tuneglm.stages.arguments import training_arguments
from tuneglm.stages.sharing import check_sharing

log = logging.getLogger(__name__)

# a plan may be so far above the truth: what is foreseen to be larger by less is not refused
TOLERANCE = 1.1
MOST_ROWS = 4096
# the largest batch is looked for no closer than this
CLOSE_ENOUGH = 1.05
DIVIDERS = ("fsdp", "fsdp_config", "deepspeed")
# times that the bytes of a trained weight move while the optimizer changes it
OPTIMIZER_PASSES = 7
# of a product that is measured
MOST_TOKENS = 512


def plan(
    config: RunConfig,
    *,
    memory: int | None = None,
    device: str | None = None,
    processes: int = 1,
    choices: bool = True,
) -> Plan:
    """What a run would take.

    memory   bytes of the device that is planned for, in place of what is here
    device   its kind, cpu or cuda; with `memory` alone, cuda
    processes  that share the model as `training.fsdp` or `training.deepspeed` says; the memory is
               that of one
    choices  with the largest batch and the table
    """
    target = _target(device, memory)
    config = as_if_there(config, target)
    folder = config_folder(config.model)
    family = family_of(folder, config.model.family)
    check_method(config, folder, family)
    given = rows_at_hand(config, folder, family)
    sharing = sharing_planned(config.training, processes)
    check_sharing(config, sharing, folder)
    # neither library is asked: deepspeed need not be here, and FSDP begins among several
    kept = {name: each for name, each in config.training.items() if name not in DIVIDERS}
    config = config.model_copy(update={"training": kept})
    arguments = training_arguments(config, evaluates=evaluates(config), rows=None)
    step = step_of(config, folder, family, arguments, given, target)
    step = replace(step, sharing=sharing)
    planner, why = _Planner(target, memory, is_timed=True), None
    if config.model.bits == "auto":
        bits, why = chosen_bits(step, lambda other: planner.fitting(other)[1])
        step = replace(step, config=with_bits(config, bits))
    planned = planner.whole(step) if choices else planner.fitting(step)[1]
    return replace(planned, bits_because=why, left_out=left_out(sharing))


def bits_that_fit(step: Step) -> tuple[Width, str]:
    """What `model.bits=auto` is for a run that is about to begin, and why."""
    planner = _Planner(step.device)
    return chosen_bits(step, lambda other: planner.fitting(other)[1])


class _Planner:
    """Plans for one device; the process's own part is measured once, before the table is made."""

    def __init__(
        self, device: torch.device, memory: int | None = None, is_timed: bool = False
    ) -> None:
        self.device, self.memory, self.is_timed = device, memory, is_timed
        self._process: int | None = None
        self._speed: Speed | None = None
        self._seen: list[tuple[Any, StepMemory]] = []

    def whole(self, step: Step) -> Plan:
        """With the largest batch and the table."""
        step, planned = self.fitting(step)
        if planned.limit is not None:
            planned = replace(planned, largest=self._largest(step, planned))
        return self.with_choices(planned, step)

    def fitting(self, step: Step) -> tuple[Step, Plan]:
        """The step and its plan: in smaller portions, where these fit and the usual ones do not.

        Those that a run asks for are kept.
        """
        usual = step, self.alone(step)
        smaller, planned = usual
        free = step.has_portions and step.config.data.tokens_at_once is None
        while planned.fits is False and smaller.portion.count > 1 and free:
            smaller = replace(smaller, at_once=max(1, smaller.portion.tokens // 2))
            planned = self.alone(smaller)
        return usual if planned.fits is False else (smaller, planned)

    def alone(self, step: Step) -> Plan:
        """Of the step as it is."""
        traced = self._traced(step)
        memory = self._memory(step, traced)
        return Plan(
            config=step.config,
            family=step.family.name,
            device=str(step.device),
            batch=step.batch,
            at_once=step.at_once,
            memory=memory,
            limit=self.memory if self.memory is not None else device_memory(self.device),
            seconds=self._seconds(step, traced),
            operations=traced.operations * step.portions_of_batch,
        )

    def with_choices(self, planned: Plan, step: Step) -> Plan:
        """The same with the table."""
        choices = tuple(self._choices(step, planned))
        return replace(planned, choices=choices, cheapest=_cheapest(choices, step))

    def _choices(self, step: Step, planned: Plan) -> Iterator[Choice]:
        """Without those of which nobody can tell: the others are told all the same."""
        for other in other_steps(step):
            try:
                yield self._choice(other, planned)
            except ModelError as error:
                log.info("%s", error.sentence)

    def _traced(self, step: Step) -> StepMemory:
        """Larger batches are more of the same portions: what was seen is not run again."""
        key = (
            step.config.method,
            step.placement,
            step.arguments.gradient_checkpointing,
            step.portion,
            step.portions > 1,
        )
        for other, traced in self._seen:
            if other == key:
                return traced
        self._seen.append((key, kept_or_traced(step)))
        return self._seen[-1][1]

    def _memory(self, step: Step, traced: StepMemory) -> Memory:
        memory = memory_of(step, traced)
        if self._process is None:
            self._process = memory.parts[PROCESS]
        return Memory({**memory.parts, PROCESS: self._process})

    def _choice(self, step: Step, planned: Plan) -> Choice:
        traced = self._traced(step)
        peak = self._memory(step, traced).peak
        return Choice(
            method=step.config.method.name,
            bits=holding_of(step.config, step.folder).bits,
            checkpointing=bool(step.arguments.gradient_checkpointing),
            peak=peak,
            seconds=self._seconds(step, traced),
            operations=traced.operations * step.portions_of_batch,
            fits=None if planned.limit is None else peak <= planned.limit,
        )

    def _seconds(self, step: Step, traced: StepMemory) -> float | None:
        if not self.is_timed or self.device.type != best_device().type:
            return None
        # measured after the first step was traced: what that takes is not the process's own
        speed = self._speed = self._speed or _speed(step)
        batch = traced.operations / speed.products + traced.moved / speed.bytes
        trained = traced.fullest.parts.get("trained", 0)
        change = trained * OPTIMIZER_PASSES / speed.bytes
        return batch * step.portions + change

    def _largest(self, step: Step, planned: Plan) -> int:
        """The largest size of a batch that fits: on a line through two of them, then looked at."""
        assert planned.limit is not None
        grain = 64 if step.batch.counts == "tokens" else 1
        first = step.batch.size
        most = MOST_ROWS * (first if step.batch.counts == "tokens" else 1)
        begun, size = self._peak(step, first), 2 * first
        # what is made in chunks bends the line: from the farthest that fits once more
        while (peak := self._peak(step, size)) <= planned.limit and size < most:
            slope = max((peak - begun) / (size - first), 1.0)
            further = min(most, int(first + (planned.limit - begun) / slope)) // grain * grain
            if further <= size * CLOSE_ENOUGH:
                break
            size = further
        while size >= grain and self._peak(step, size) > planned.limit:
            size = min(size - grain, int(size * 0.97)) // grain * grain
        return max(size, 0)

    def _peak(self, step: Step, size: int) -> int:
        other = replace(step, batch=step.batch.resized(size))
        return self._memory(other, self._traced(other)).peak


def _cheapest(choices: Sequence[Choice], step: Step) -> Choice | None:
    """The quickest that fits, of the run's own method where one does."""
    fitting = [choice for choice in choices if choice.fits is not False]
    own = [choice for choice in fitting if choice.method == step.config.method.name]

    def cost(choice: Choice) -> tuple[float, int]:
        return choice.seconds or choice.operations, choice.peak

    return min(own or fitting, key=cost, default=None)


def check_memory(step: Step) -> Foreseen | None:
    """What a run that is about to begin will take; None where nobody can tell.

    Raises ConfigError where it cannot fit, naming what would.
    """
    check = step.config.memory_check
    if check == "off":
        return None
    try:
        with undivided():
            _, planned = _Planner(step.device).fitting(step)
    except ModelError as error:
        log.info("%s", error.sentence)
        return None
    if planned.limit is not None and planned.memory.peak > TOLERANCE * planned.limit:
        if check == "refuse":
            raise _too_large(planned, step)
        return foreseen(planned, ": more than there is")
    return foreseen(planned)


def _too_large(planned: Plan, step: Step) -> ConfigError:
    with undivided():
        chosen = _Planner(step.device, planned.limit).with_choices(planned, step).cheapest
    instead = "take a smaller batch, or a smaller data.cutoff"
    if not step.has_portions:
        instead += ", or more processes, of which each then holds less"
    if chosen is not None:
        instead = f"{chosen.settings} needs {gib(chosen.peak)} GiB"
    assert planned.limit is not None
    return ConfigError(
        f"The run needs about {gib(planned.memory.peak)} GiB of memory, and `{planned.device}` has "
        f"{gib(planned.limit)} GiB.",
        f"{instead}; `tuneglm plan` shows every choice, and memory_check=warn tries all the same",
    )


def _target(device: str | None, memory: int | None) -> torch.device:
    if device is None:
        return torch.device("cuda") if memory is not None else best_device()
    kind = device.partition(":")[0]
    if kind not in ("cpu", "cuda", "mps"):
        raise ConfigError(f"There is no device `{device}`.", "known: cuda, mps, cpu")
    return torch.device(device)


def _speed(step: Step) -> Speed:
    """How fast this machine's device is, in shapes like those of the step."""
    config: Any = skeleton(step.folder, step.family).config.get_text_config()
    dtype = step.computed_in or step.placement.dtype
    return measured_speed(
        step.device, dtype, config.hidden_size, min(step.portion.tokens, MOST_TOKENS)
    )
