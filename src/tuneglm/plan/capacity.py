"""What a device has: memory, and how fast it computes, measured in two seconds."""

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from tuneglm.errors import ConfigError
from tuneglm.models.products import multiply

MIB, GIB = 2**20, 2**30
SECONDS_A_RATE = 1.0
STATUS, MEMORY = Path("/proc/self/status"), Path("/proc/meminfo")
# writing the one into the other makes the highest resident memory what it is now
RESET, RESET_PEAK = Path("/proc/self/clear_refs"), "5"
GROUP_LIMIT, GROUP_USED = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory.current"),
)
UNITS = {"": 1, "K": 2**10, "M": MIB, "G": GIB, "T": 2**40}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(?:I?B)?\s*", re.I)


@dataclass(frozen=True)
class Speed:
    """Floating-point operations a second in matrix products, and bytes a second in all else."""

    products: float
    bytes: float


def size_of(text: str) -> int:
    """`8GB`, `24 GiB`, `500M` → bytes; a card's 8 GB are 8 · 2³⁰, so all units are."""
    found = _SIZE.fullmatch(text)
    if found is None or float(found[1]) == 0:
        raise ConfigError(f"`{text}` is no size of memory.", "write it as 8GB or 24GiB")
    return int(float(found[1]) * UNITS[found[2].upper()])


def device_memory(device: torch.device) -> int | None:
    """Bytes that this process may have on a device, its own included; None where nobody knows."""
    if device.type == "cuda":
        if not torch.cuda.is_available():
            return None
        free, _ = torch.cuda.mem_get_info(device)
        return int(free + torch.cuda.memory_reserved(device))
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory())
    if not MEMORY.exists():
        return None
    available = _kilobytes(MEMORY, "MemAvailable")
    if GROUP_LIMIT.is_file() and GROUP_LIMIT.read_text("ascii").strip().isdecimal():
        available = min(available, _number(GROUP_LIMIT) - _number(GROUP_USED))
    # what is there is for all processes of the run
    return available // int(os.environ.get("LOCAL_WORLD_SIZE", "1")) + resident()


def resident() -> int:
    """Bytes of this process that are in memory; 0 where the system does not say."""
    return _kilobytes(STATUS, "VmRSS") if STATUS.exists() else 0


@contextmanager
def enough_memory() -> Iterator[None]:
    """A GPU that ran out of memory is one sentence; a processor's memory ends without one."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        asked = " ".join(str(error).split()).partition(". ")[0]
        raise ConfigError(
            f"The run needs more memory than there is: {asked}.",
            "halve training.per_device_train_batch_size and double "
            "training.gradient_accumulation_steps, or take training.gradient_checkpointing=true; "
            "the same command goes on from the last checkpoint; `tuneglm plan` shows other choices",
        ) from None


def forget_peak(device: torch.device) -> None:
    """Measure what `peak_memory` says from here on."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif RESET.exists():
        # a container may not let it be written
        with suppress(OSError):
            RESET.write_text(RESET_PEAK, "ascii")


def peak_memory(device: torch.device) -> int | None:
    """Most bytes held: by torch on a GPU, where CUDA's own come on top, else by the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device)
    return _kilobytes(STATUS, "VmHWM") if STATUS.exists() else None


def measured_speed(device: torch.device, dtype: torch.dtype, width: int, tokens: int) -> Speed:
    """How fast `device` multiplies (tokens, width) by (width, 4 · width), and adds."""
    states = torch.ones(tokens, width, dtype=dtype, device=device)
    weight = torch.ones(4 * width, width, dtype=dtype, device=device)
    product = _times_a_second(lambda: multiply(states, weight), device)
    wide = torch.ones(tokens, 4 * width, device=device)
    addition = _times_a_second(lambda: wide + wide, device)
    return Speed(product * 2 * tokens * width * 4 * width, addition * 3 * wide.nbytes)


def _times_a_second(run: Callable[[], object], device: torch.device) -> float:
    run()
    _wait(device)
    times, started = 0, time.perf_counter()
    while time.perf_counter() - started < SECONDS_A_RATE:
        run()
        times += 1
        if times % 8 == 0:
            _wait(device)
    _wait(device)
    return times / (time.perf_counter() - started)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def _kilobytes(file: Path, name: str) -> int:
    text = file.read_text("utf-8", "replace")
    lines = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    return int(lines[name].split()[0]) * 1024


def _number(file: Path) -> int:
    return int(file.read_text("ascii"))


def gib(size: float) -> str:
    """Bytes as GiB: one digit behind the point, two where it is little."""
    return f"{size / GIB:.1f}" if size >= 10 * GIB else f"{size / GIB:.2f}"
