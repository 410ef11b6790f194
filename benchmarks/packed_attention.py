"""Attention of packed rows, forward and backward: row by row against sdpa with a block mask.

    python benchmarks/packed_attention.py [--heads N] [--key-heads N] [--head N] [--rounds N]

The baseline is one call of sdpa with a mask of tokens × tokens, as transformers makes
it for packed rows. Rounds alternate between the two, and the best of each counts.
"""

import argparse
import random
import time
from collections.abc import Callable
from types import SimpleNamespace

import torch
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from tuneglm.models.pieces import Segments, attend_pieces

SHAPES = ((8, 1024), (40, 1024), (8, 2048), (40, 2048), (8, 4096), (40, 4096))  # rows, tokens


def row_lengths(rows: int, tokens: int) -> tuple[int, ...]:
    """Lengths of so many rows that together have so many tokens."""
    ends = sorted(random.Random(0).sample(range(1, tokens), rows - 1))
    return tuple(b - a for a, b in zip([0, *ends], [*ends, tokens], strict=True))


def block_mask(lengths: tuple[int, ...]) -> torch.Tensor:
    row = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    return ((row[:, None] == row) & torch.ones(len(row), len(row)).tril().bool())[None, None]


def seconds(attend: Callable[[], torch.Tensor]) -> float:
    start = time.perf_counter()
    attend().sum().backward()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--heads", type=int, default=16)
    parser.add_argument("--key-heads", type=int, default=2)
    parser.add_argument("--head", type=int, default=64, help="size of one")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    module = SimpleNamespace(num_key_value_groups=given.heads // given.key_heads, is_causal=True)
    print(f"{'rows in tokens':16}{'row by row':>12}{'block mask':>12}{'ratio':>8}")
    for rows, tokens in SHAPES:
        lengths = row_lengths(rows, tokens)
        segments, mask = Segments(lengths, (0,) * rows), block_mask(lengths)
        states = [
            torch.randn(1, heads, tokens, given.head, requires_grad=True)
            for heads in (given.heads, given.key_heads, given.key_heads)
        ]
        ways: dict[str, Callable[[], torch.Tensor]] = {
            "rows": lambda s=states, g=segments: attend_pieces(module, *s, g, None),
            "mask": lambda s=states, m=mask: sdpa_attention_forward(module, *s, m)[0],
        }
        torch.testing.assert_close(ways["rows"](), ways["mask"](), atol=1e-5, rtol=0)
        best = dict.fromkeys(ways, float("inf"))
        for _ in range(given.rounds):
            for way, attend in ways.items():
                best[way] = min(best[way], seconds(attend))
        ours, theirs = (1000 * best[way] for way in ("rows", "mask"))
        shape = f"{rows} in {tokens:,}"
        print(f"{shape:16}{ours:9.0f} ms{theirs:9.0f} ms{theirs / ours:7.1f}×")


if __name__ == "__main__":
    main()
