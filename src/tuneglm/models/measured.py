"""What was measured of this machine once, and is kept for every later start.

It lies in `products.json` in the cache; a file that cannot be read or written is as if there
were none. What is kept of another processor or another torch is measured anew.
"""

import json
import os
import platform
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import torch

from tuneglm.data.encoded_store import store_folder

# says which library multiplies, in place of what is measured
VARIABLE = "TUNEGLM_PRODUCTS"
REPEATS = 5


def found(what: str, is_worth_it: Callable[[], bool]) -> bool:
    """Whether something is worth it on this machine: as it was kept, or measured and kept."""
    file = _kept_in()
    kept, name = _kept(file), f"{_machine()}, {what}" if what else _machine()
    if isinstance(kept.get(name), bool):
        return bool(kept[name])
    measured = is_worth_it()
    # meanwhile another process may have found something
    kept = _kept(file)
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        beside = file.with_suffix(f".{os.getpid()}")
        beside.write_text(json.dumps(kept | {name: measured}), encoding="utf-8")
        beside.replace(file)
    return measured


def seconds(work: Callable[[Any], Any], weights: Sequence[Any]) -> float:
    """Of all weights, the shortest of several times: what came between only makes them longer."""
    work(weights[0])
    times = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        for weight in weights:
            work(weight)
        times.append(time.perf_counter() - begun)
    return min(times)


def _kept_in() -> Path:
    return store_folder("auto").parent / "products.json"


def _kept(file: Path) -> dict[str, Any]:
    """What was found on every machine that shares this cache."""
    with suppress(OSError, ValueError):
        content = json.loads(file.read_text("utf-8"))
        if isinstance(content, dict):
            return content
    return {}


@cache
def _machine() -> str:
    """The processor's name and its widest instructions, and torch's version."""
    name = platform.processor() or platform.machine()
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        name = next((line for line in lines if line.startswith("model name")), name)
    name = name.partition(":")[2].strip() or name
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}, torch {torch.__version__}"
