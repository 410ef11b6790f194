"""Products of the few rows that answers have: oneDNN beside what torch takes by itself.

    python benchmarks/few_rows.py [--threads N]

Weights of small models and of ChatGLM3-6B, more of each than the processor keeps, in turns.
Which of the two answers are drawn with is measured the same way, for each weight (products.py).
"""

import argparse
import statistics
import time
from collections.abc import Sequence

import torch
from machine import machine, machine_words
from torch import Tensor
from torch.nn import functional

# (out, in)
SHAPES = ((512, 512), (1536, 512), (65024, 512), (2816, 1024), (4608, 4096), (27392, 4096))
ROWS = (1, 2, 3, 8)
KEPT = 2**28  # bytes: more than a processor keeps
TURNS = 7


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
            weights = [torch.randn(outs, ins) for _ in range(max(1, KEPT // (4 * outs * ins)))]
            cells = [compared(torch.randn(rows, ins), weights) for rows in ROWS]
            print(f"| {outs:,} × {ins:,} | " + " | ".join(cells) + " |", flush=True)


def compared(states: Tensor, weights: Sequence[Tensor]) -> str:
    """Microseconds of a product by both, and the ratio."""
    usual, other = [], []
    for _ in range(TURNS):
        usual.append(seconds(states, weights, by_onednn=False))
        other.append(seconds(states, weights, by_onednn=True))
    one, two = (1e6 * statistics.median(each) for each in (usual, other))
    return f"{one:,.0f} : {two:,.0f} = {one / two:.2f} ×"


def seconds(states: Tensor, weights: Sequence[Tensor], *, by_onednn: bool) -> float:
    """Of one product, all weights in a row."""
    begun = time.perf_counter()
    for weight in weights:
        if by_onednn:
            torch.ops.mkldnn._linear_pointwise(states, weight, None, "none", [], "")
        else:
            functional.linear(states, weight)
    return (time.perf_counter() - begun) / len(weights)


if __name__ == "__main__":
    main()
