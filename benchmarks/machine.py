"""What a benchmark ran on, and how fast this machine multiplies matrices."""

import importlib.metadata
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from training_turns import Turns

PACKAGES = ("torch", "transformers", "peft", "accelerate", "bitsandbytes", "tuneglm")
# of the processor's own list, what decides how fast products are
INSTRUCTIONS = ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile")
INSTRUCTIONS += ("amx_bf16", "asimd", "bf16", "sve")
TOKENS = 1024
SECONDS = 0.1  # that a way of multiplying is tried for


def machine(threads: int) -> dict[str, Any]:
    """Processor, instruction sets, cores, memory and versions."""
    import torch

    cores = len(os.sched_getaffinity(0))
    information = _fields(Path("/proc/cpuinfo"))
    flags = information.get("flags", information.get("Features", "")).split()
    return {
        "processor": information.get("model name", platform.processor() or platform.machine()),
        "instructions": [name for name in INSTRUCTIONS if name in flags],
        "torch_capability": torch.backends.cpu.get_cpu_capability(),
        "cores": cores,
        "threads": threads,
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PACKAGES},
    }


def available_gib() -> int:
    """Memory that processes can still have."""
    free = _fields(Path("/proc/meminfo"))["MemAvailable"]
    return int(free.split()[0]) // 2**20


def whole_cores() -> float:
    """Cores that this process may keep busy; two threads of one core compute as one."""
    # here, since contenders' processes import this file and are to be without tuneglm
    from tuneglm.processors import quota

    folder = Path("/sys/devices/system/cpu")
    files = (
        folder / f"cpu{number}" / "topology" / "thread_siblings_list"
        for number in os.sched_getaffinity(0)
    )
    whole = len({file.read_text() if file.is_file() else str(file) for file in files})
    return min(whole, quota() or whole)


def machine_words(known: dict[str, Any]) -> str:
    """The same in two lines."""
    versions = ", ".join(f"{name} {number}" for name, number in known["versions"].items())
    return (
        f"{known['processor']}, {' '.join(known['instructions'])}; {known['cores']} cores to run "
        f"on, {known['threads']} threads a process, {known['memory_gib']} GiB; load "
        f"{known['load']:.1f} at the start\n{versions}, Python {known['python']}"
    )


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "-"


def _fields(path: Path) -> dict[str, str]:
    """The first of each `name : value`."""
    found: dict[str, str] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        name, _, value = line.partition(":")
        found.setdefault(name.strip(), value.strip())
    return found


def product_ways(dtype: Any) -> dict[str, Callable[[Any, Any], Any]]:
    """Ways to multiply (tokens, inputs) by a weight of (outputs, inputs)."""
    import torch
    from torch.nn.functional import linear

    ways: dict[str, Callable[[Any, Any], Any]] = {
        "torch.mm": lambda x, weight: torch.mm(x, weight.t()),
        "F.linear": linear,
    }
    if torch.backends.mkldnn.is_available():
        pointwise = torch.ops.mkldnn._linear_pointwise

        def one_dnn(x: Any, weight: Any) -> Any:
            return pointwise(x, weight, None, "none", [], "")

        ways["oneDNN"] = one_dnn
    return ways


def product_rates(
    hidden: int, inner: int, dtype: Any = None, seconds: float = SECONDS
) -> dict[str, float]:
    """GFLOP/s of each way, of the two products that a layer's MLP makes, in this process."""
    import torch

    dtype = dtype or torch.float32
    rates = {}
    for name, way in product_ways(dtype).items():
        pairs = [_operands(*sizes, dtype) for sizes in ((hidden, inner), (inner, hidden))]
        done = 0
        for pair in pairs:
            way(*pair)
        started = time.perf_counter()
        while time.perf_counter() < started + seconds:
            for pair in pairs:
                way(*pair)
                done += 2 * TOKENS * hidden * inner
        rates[name] = done / (time.perf_counter() - started) / 1e9
    return rates


def _operands(inputs: int, outputs: int, dtype: Any) -> tuple[Any, Any]:
    import torch

    return torch.randn(TOKENS, inputs).to(dtype), torch.randn(outputs, inputs).to(dtype)


def rates_in_turns(address: str, hidden: int, inner: int, threads: int, way: str) -> None:
    """A contender that only multiplies matrices, one way: its work is counted in GFLOP."""
    import torch

    torch.set_num_threads(threads)
    turns = Turns(address)
    with torch.inference_mode():
        multiply = product_ways(torch.float32)[way]
        pairs = [_operands(*sizes, torch.float32) for sizes in ((hidden, inner), (inner, hidden))]
        turns.ready(torch.nn.Linear(1, 1))
        while True:
            for pair in pairs:
                multiply(*pair)
            turns.worked(4 * TOKENS * hidden * inner / 1e9)
