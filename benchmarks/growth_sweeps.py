"""What grows: the sizes that training_growth.py changes one at a time, and what mathematics allows.

context     attention's work for a token grows with its row; all else, and rows of one
            length in ever longer packs, costs a token the same
batch       nothing of a token's work knows how many others a step learns from
rank, vocabulary, layers   each has work of its own, in proportion to itself
processes   a step has as many packs for each: two do twice the work. With a core for each
            thread of each it takes as long; where they share cores, in proportion longer
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from training_shapes import SHAPES, Shape

CONTEXTS = (256, 512, 1024, 2048, 4096, 8192)
QUICK_CONTEXTS = CONTEXTS[:4]
SMALL = replace(SHAPES["A"], hidden=256, layers=4, vocabulary=8_192)
SHORT = 128  # tokens of a short row


@dataclass(frozen=True)
class Point:
    """One run of a sweep: the size on the axis, the model, its rows and settings."""

    size: int
    shape: Shape
    row: int
    settings: tuple[str, ...]


@dataclass(frozen=True)
class Line:
    """Points of a plot, and the exponent of a token's time that mathematics has at most."""

    most: float
    points: tuple[Point, ...]

    @property
    def sizes(self) -> list[int]:
        """Along the axis."""
        return [point.size for point in self.points]


@dataclass(frozen=True)
class Sweep:
    """A plot: lines by name."""

    name: str
    axis: str
    lines: dict[str, Line]


def sweeps(quick: bool, threads: int, cores: float) -> Iterator[Sweep]:
    """All of them; each size doubles from point to point."""
    contexts = QUICK_CONTEXTS if quick else CONTEXTS
    lines = {}
    for name, family in (("causal", "chatglm3"), ("prefix (ChatGLM-6B)", "chatglm")):
        whole = tuple(_packed(size, size, family) for size in contexts)
        lines[f"{name}, one row a pack"] = Line(1, whole)
        short = tuple(_packed(size, SHORT, family) for size in contexts)
        lines[f"{name}, rows of {SHORT}"] = Line(0, short)
    yield Sweep("context", "tokens of a pack", lines)
    yield _single("batch", "packs of 512 a step", 0, [_several(size) for size in (1, 2, 4, 8)])
    ranks = [_set(size, f"method.rank={size}") for size in (4, 8, 16, 32, 64, 128)]
    yield _single("rank", "rank", 1, ranks)
    counts = (1, 2)
    shared = shared_cores(counts, threads, cores)
    yield _single("processes", "processes", shared, [_set(size) for size in counts])
    words = (8_192, 16_384, 32_768, 65_536, 131_072)
    vocabularies = [_shaped(size, vocabulary=size) for size in words]
    yield _single("vocabulary", "tokens of the vocabulary", 1, vocabularies)
    yield _single("layers", "layers", 1, [_shaped(size, layers=size) for size in (2, 4, 8, 16)])


def shared_cores(counts: Sequence[int], threads: int, cores: float) -> float:
    """Exponent of a token's time where processes have to share cores; 0 where they need not."""
    return exponent(counts, [max(1, count * threads / cores) for count in counts])


def exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """Slope of the straight line through the logarithms of both."""
    x, y = [math.log(each) for each in sizes], [math.log(each) for each in seconds]
    middle, height = sum(x) / len(x), sum(y) / len(y)
    above = sum((a - middle) * (b - height) for a, b in zip(x, y, strict=True))
    return above / sum((a - middle) ** 2 for a in x)


def step_tokens(point: Point) -> int:
    """Tokens that a step has at least: packs are filled to nine tenths and more."""
    values = dict(setting.split("=") for setting in point.settings)
    packs = int(values["training.per_device_train_batch_size"])
    return packs * int(values["data.tokens_per_batch"]) * 9 // 10


def _single(name: str, axis: str, most: float, points: Sequence[Point]) -> Sweep:
    return Sweep(name, axis, {"": Line(most, tuple(points))})


def _packed(tokens: int, row: int, family: str = "chatglm3", packs: int = 1) -> Point:
    settings = (
        "data.batching=packed",
        f"data.tokens_per_batch={tokens}",
        f"data.cutoff={min(tokens, row)}",
        f"training.per_device_train_batch_size={packs}",
    )
    return Point(tokens, replace(SMALL, family=family), row, settings)


def _several(packs: int) -> Point:
    return replace(_packed(512, SHORT, packs=packs), size=packs)


def _set(size: int, *settings: str) -> Point:
    basis = _packed(1024, SHORT)
    return replace(basis, size=size, settings=(*basis.settings, *settings))


def _shaped(size: int, **sizes: int) -> Point:
    basis = _packed(1024, SHORT)
    return replace(basis, size=size, shape=replace(basis.shape, **sizes))
