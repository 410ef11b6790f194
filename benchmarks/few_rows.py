"""Products of the few rows that answers have: by torch itself, by oneDNN, by weights in halves.

    python benchmarks/few_rows.py [--threads N]

Weights of small models and of ChatGLM3-6B, more of each than the processor keeps, in turns.
What answers are drawn with is measured the same way (halves.py; for other weights products.py).
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from machine import machine, machine_words
from torch import Tensor
from torch.nn import functional

from tuneglm.models.halves import Halves, packed

# (out, in)
SHAPES = ((512, 512), (1536, 512), (65024, 512), (2816, 1024), (4608, 4096), (27392, 4096))
ROWS = (1, 2, 3, 8)
KEPT = 2**28  # bytes: more than a processor keeps
TURNS = 7

# what multiplies, and what of each weight it takes
Way = tuple[Callable[..., Tensor], Sequence[Any]]


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    print(machine_words(machine(given.threads)), flush=True)
    print("| weight | " + " | ".join(f"rows: {rows}" for rows in ROWS) + " |")
    print("|---|" + "---:|" * len(ROWS))
    with torch.inference_mode():
        for outs, ins in SHAPES:
            count = max(1, KEPT // (4 * outs * ins))
            weights = [torch.randn(outs, ins).half().float() for _ in range(count)]
            halves = [halves_of(each) for each in weights]
            ways = (
                (functional.linear, weights),
                (by_onednn, weights),
                (lambda states, each: each.multiply(states, None), halves),
            )
            cells = [compared(torch.randn(rows, ins), ways) for rows in ROWS]
            print(f"| {outs:,} × {ins:,} | " + " | ".join(cells) + " |", flush=True)


def compared(states: Tensor, ways: Sequence[Way]) -> str:
    """Microseconds of a product in each way, and how much faster the last one is."""
    turns = [[seconds(states, *way) for way in ways] for _ in range(TURNS)]
    medians = [1e6 * statistics.median(each) for each in zip(*turns, strict=True)]
    *others, last = medians
    times = " : ".join(f"{each:,.0f}" for each in medians)
    return f"{times} = {min(others) / last:.2f} ×"


def seconds(states: Tensor, multiply: Callable[..., Tensor], weights: Sequence[Any]) -> float:
    """Of one product, all weights in a row."""
    begun = time.perf_counter()
    for weight in weights:
        multiply(states, weight)
    return (time.perf_counter() - begun) / len(weights)


def by_onednn(states: Tensor, weight: Tensor) -> Tensor:
    """x · Wᵀ."""
    product: Tensor = torch.ops.mkldnn._linear_pointwise(states, weight, None, "none", [], "")
    return product


def halves_of(weight: Tensor) -> Halves:
    """What an answering model keeps of a weight."""
    halves = packed(weight)
    assert halves is not None, "made of float16"
    return halves


if __name__ == "__main__":
    main()
