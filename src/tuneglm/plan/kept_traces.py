"""What a step without data was seen to hold, kept on the disk: the same step is not run again.

One file a step in `plans` in the cache, by the digest of all that the step is made of and of the
code that runs it. A file that cannot be read or written is as if there were none.
"""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from functools import cache
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tuneglm.data.encoded_store import code_digest, store_folder
from tuneglm.models.products import by_onednn
from tuneglm.plan.ledger import Peak
from tuneglm.plan.step import Step
from tuneglm.plan.step_memory import StepMemory, step_memory

ROOMS = ("data", "methods", "models", "plan", "stages")
LIBRARIES = ("torch", "transformers", "peft", "accelerate")
# files of one to two kilobytes; of more the older half goes
MOST_FILES = 1000


def kept_or_traced(step: Step) -> StepMemory:
    """As `step_memory`, which runs a step of its kind once."""
    file = store_folder("auto").parent / "plans" / f"{_digest(step)}.json"
    with suppress(OSError, ValueError, KeyError, TypeError):
        return _read(json.loads(file.read_text("utf-8")))
    traced = step_memory(step)
    with suppress(OSError):
        _write(file, traced)
    return traced


def _digest(step: Step) -> str:
    """Of what decides a trace; not of a rate or of a number of steps, which do not."""
    asked = step.arguments
    parts = (
        step.config.method,
        step.config.stage,
        step.placement,
        step.computed_in,
        step.portion,
        step.portions > 1,
        step.evaluation,
        step.device.type,
        step.optimizer,
        step.state_bytes,
        asked.gradient_checkpointing,
        asked.gradient_checkpointing_kwargs,
        asked.label_smoothing_factor,
        step.family.name,
        # its products keep other tensors for the way back
        by_onednn(),
        (step.folder / "config.json").read_text("utf-8"),
        _code(),
    )
    return blake2b(repr(parts).encode(), digest_size=16).hexdigest()


@cache
def _code() -> tuple[str, ...]:
    return (code_digest(ROOMS), *map(version, LIBRARIES))


def _read(kept: Mapping[str, Any]) -> StepMemory:
    peaks = {phase: Peak(**peak) for phase, peak in kept["peaks"].items()}
    return StepMemory(peaks, kept["operations"], kept["moved"])


def _write(file: Path, traced: StepMemory) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    peaks = {phase: asdict(peak) for phase, peak in traced.peaks.items()}
    content = {"peaks": peaks, "operations": traced.operations, "moved": traced.moved}
    beside = file.with_suffix(f".{os.getpid()}")
    beside.write_text(json.dumps(content), encoding="utf-8")
    beside.replace(file)
    _bound(file.parent)


def _bound(folder: Path) -> None:
    files = list(folder.iterdir())
    if len(files) > MOST_FILES:
        files.sort(key=lambda file: file.stat().st_mtime)
        for file in files[: len(files) // 2]:
            file.unlink(missing_ok=True)
