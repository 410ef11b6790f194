"""What a plan says: memory by part, a row of its table, and all of it together."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from tuneglm.config import RunConfig
from tuneglm.models.precision import Bits
from tuneglm.models.products import by_onednn
from tuneglm.plan.batch_shape import Batch
from tuneglm.plan.capacity import GIB, MIB, gib, resident
from tuneglm.plan.divided import GATHERED, OFFLOADED, divided
from tuneglm.plan.ledger import PARTS
from tuneglm.plan.step import Step
from tuneglm.plan.step_memory import StepMemory

RESERVED, PROCESS = "reserved", "process"
# what libraries load and keep of themselves at a first step: with 112 MiB eleven measured runs of
# small models took from 52 less to 84 more than was foreseen, in the middle 27 more
FIRST_USE = 136 * MIB
# and oneDNN's kernels, where it multiplies (allocation.py bounds them): 0.2 to 0.6 GiB, measured,
# the more the more lengths rows have
KERNELS = 384 * MIB
# of a GPU: what CUDA and its libraries take, and what stays unused between tensors as a share of
# those that come and go (measured, of runs on a model of 6 billion weights: 0.10 to 0.27)
CONTEXT, FRAGMENTATION = GIB // 2, 0.15


@dataclass(frozen=True)
class Memory:
    """Bytes of a run at its fullest moment: PARTS, what the allocator reserves, the process.

    offloaded  what a process has in the machine's memory meanwhile
    """

    parts: Mapping[str, int]
    offloaded: int = 0

    @property
    def peak(self) -> int:
        """All of them."""
        return sum(self.parts.values())


@dataclass(frozen=True)
class Choice:
    """Another way to run: what it takes, and the settings that make it.

    seconds     of a step; None where the device is not here to be measured
    operations  of matrix products in a step
    """

    method: str
    bits: Bits | None
    checkpointing: bool
    peak: int
    seconds: float | None
    operations: float
    fits: bool | None

    @property
    def settings(self) -> str:
        """As the command line takes it."""
        words = [f"method={self.method}"]
        words += [f"model.bits={self.bits}"] if self.bits else []
        words += ["training.gradient_checkpointing=true"] if self.checkpointing else []
        return " ".join(words)


@dataclass(frozen=True)
class Plan:
    """What a run would take.

    limit          bytes that there are; None where nobody knows
    seconds        of a step, all its accumulated batches; None where the device is not here
    largest        rows of the largest batch that fits, if packed its tokens; 0: none
    choices        the table; `cheapest` is one of them
    bits_because   why `model.bits` is what it is, where the plan chose it
    left_out       what is not counted, in words
    at_once        tokens of a portion of the batch, where the usual portion would not fit
    """

    config: RunConfig
    family: str
    device: str
    batch: Batch
    memory: Memory
    limit: int | None
    seconds: float | None
    operations: float
    largest: int | None = None
    choices: tuple[Choice, ...] = ()
    cheapest: Choice | None = None
    bits_because: str | None = None
    left_out: str | None = None
    at_once: int | None = None

    @property
    def fits(self) -> bool | None:
        """Whether there is room; None where nobody knows."""
        return None if self.limit is None else self.memory.peak <= self.limit


@dataclass(frozen=True)
class Foreseen:
    """What is said of a plan when a run begins and when it has ended.

    words  `about 6.1 of 23.4 GiB`
    peak   bytes to be compared with what is measured: on a GPU without CUDA's own
    at_once  see `Plan`
    """

    words: str
    peak: int
    at_once: int | None


def foreseen(planned: Plan, verdict: str = "") -> Foreseen:
    """A plan in short."""
    # torchrun's processes have numbers on a processor, too
    apart = 0 if planned.device.startswith("cpu") else planned.memory.parts[PROCESS]
    if planned.at_once is not None:
        verdict += f"; in portions of {planned.at_once:,} tokens, to fit"
    return Foreseen(
        f"{memory_words(planned)}{verdict}", planned.memory.peak - apart, planned.at_once
    )


def memory_of(step: Step, traced: StepMemory) -> Memory:
    """What the device holds at the fullest moment of a step."""
    whole = traced.fullest
    # while weights and states are put down they are not counted to their parts yet
    phases = [
        divided(peak.parts, step, step.sharing, phase)
        for phase, peak in traced.peaks.items()
        if phase != "start"
    ]
    offloaded = max(phase.pop(OFFLOADED, 0.0) for phase in phases)
    fullest = max(phases, key=lambda phase: sum(phase.values()))
    parts = {part: round(fullest.get(part, 0)) for part in (*PARTS, GATHERED)}
    if step.device.type == "cpu":
        parts[RESERVED] = round(max(0.0, traced.kept_apart - whole.total))
        parts[PROCESS] = resident() + FIRST_USE + (KERNELS if _by_onednn(step) else 0)
    else:
        changing = sum(parts.values()) - sum(parts[part] for part in PARTS[:2])
        parts[RESERVED], parts[PROCESS] = round(FRAGMENTATION * changing), CONTEXT
    return Memory(parts, round(offloaded))


def _by_onednn(step: Step) -> bool:
    """Whether it multiplies: bfloat16 on every processor, float32 where it is the faster one."""
    computed = step.computed_in or step.placement.dtype
    return computed == torch.bfloat16 or by_onednn()


def memory_words(planned: Plan) -> str:
    """`about 6.1 of 23.4 GiB`."""
    of = "" if planned.limit is None else f" of {gib(planned.limit)}"
    return f"about {gib(planned.memory.peak)}{of} GiB"
