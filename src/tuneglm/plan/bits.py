"""`model.bits=auto`: as little packed as the device's memory asks for, by the plan."""

from collections.abc import Callable
from dataclasses import replace

from tuneglm.config import RunConfig
from tuneglm.errors import ModelError
from tuneglm.models.packed import packed_bits
from tuneglm.models.precision import Width
from tuneglm.models.weights import read_json
from tuneglm.packages import missing
from tuneglm.plan.planned_step import can_be
from tuneglm.plan.records import Plan, memory_words
from tuneglm.plan.step import Step

WIDTHS: tuple[Width, ...] = (16, 8, 4)


def with_bits(config: RunConfig, bits: Width) -> RunConfig:
    """The same run with its base in so many bits."""
    return config.model_copy(update={"model": config.model.model_copy(update={"bits": bits})})


def chosen_bits(step: Step, planned_of: Callable[[Step], Plan]) -> tuple[Width, str]:
    """The most bits that fit by the plan of a step, and why."""
    packed = packed_bits(read_json(step.folder / "config.json"))
    if packed is not None:
        return packed, "the model's files are packed so"
    reasons, possible = list[str](), _possible(step)
    for bits in possible:
        config = with_bits(step.config, bits)
        try:
            planned = planned_of(replace(step, config=config))
        except ModelError as error:
            return 16, error.sentence
        if planned.fits is None:
            return 16, f"nobody knows how much memory `{step.device}` has"
        reasons.append(f"{bits} bits take {memory_words(planned)}")
        if planned.fits:
            return bits, "; ".join(reasons)
    return possible[-1], "; ".join(reasons)


def _possible(step: Step) -> list[Width]:
    """Those that the run's method can have here."""
    widths = WIDTHS[:1] if missing("quant") else WIDTHS
    return [16, *(bits for bits in widths[1:] if can_be(with_bits(step.config, bits), step))]
