"""Weights in half the bytes, beside themselves, for the few rows that answers have.

A token of an answer reads every weight once, and so takes as long as memory takes to hand
them over. Published weights have 16 bits, and float16 holds those of a layer as they are, or to
less than float32's own rounding. torch's FBGEMM reads them so and multiplies and adds in float32.

    keep_halves    makes them, of a model that answers on a processor
    halves_for     those of a weight, where they are the faster way for so many rows

Made once, as the model is loaded: so an answer does not depend on those before it.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.weak import WeakTensorKeyDictionary

from tuneglm.models.measured import VARIABLE, found, seconds

ENGINE = "fbgemm"
MOST_ROWS = 15
# bytes of a model's weights for which it is worth it: less than that a processor may keep
LEAST = 2**26
# and of one weight
LEAST_OF_ONE = 2**18
# what a core packs in ten seconds, about
MOST_A_THREAD = 2**29
AT_ONCE = 2**22  # values that are compared at a time
# of a row's length: bfloat16's smallest values are not float16's, and a few lose a digit
CLOSE = 2**-22
WORTH_IT = 1.05
# rows with which it is measured, for so many and more
MEASURED = {1: 1, 2: 3, 4: 8}
TRIED = (1024, 1024)
SAMPLE = 16


@dataclass(frozen=True)
class Halves:
    """A packed weight, and some values of the weight: merging an adapter changes them."""

    packed: Any
    sample: Tensor

    def multiply(self, states: Tensor, bias: Tensor | None) -> Tensor:
        """(…, in) → (…, out), in float32."""
        product: Tensor = torch.ops.quantized.linear_dynamic_fp16(states, self.packed)
        return product if bias is None else product.add_(bias)


# weights with their halves
Tried = Sequence[tuple[Tensor, Halves]]


def keep_halves(model: nn.Module, most: int | None) -> int:
    """Make them of a model's linear layers, if they are worth it here; their bytes.

    most  bytes that there is room for, where that is known
    """
    weights = [each for each in _weights(model) if each not in _HALVES]
    values = sum(each.numel() for each in weights)
    is_small = most is not None and 2 * values > most
    if 4 * values < LEAST or values > MOST_A_THREAD * torch.get_num_threads() or is_small:
        return 0
    # somebody who names a library wants that one
    if os.environ.get(VARIABLE, "auto") != "auto" or not any(_faster().values()):
        return 0
    # packing is work of one thread, which lets others run beside it
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        made = [each for each in zip(weights, pool.map(packed, weights), strict=True) if each[1]]
    for weight, halves in made:
        _HALVES[weight] = halves
    return sum(2 * weight.numel() for weight, _ in made)


def halves_for(rows: int, weight: Tensor) -> Halves | None:
    """Those of a weight, where so many rows are multiplied faster by them."""
    halves: Halves | None = _HALVES.get(weight) if rows and _HALVES else None
    if halves is None:
        return None
    # at a prompt, which comes before every answer, and not for each token
    if rows > 1 and not torch.equal(_sample(weight), halves.sample):
        # an adapter was merged into it
        _HALVES.pop(weight, None)
        return None
    is_faster = rows <= MOST_ROWS and _faster()[max(each for each in MEASURED if each <= rows)]
    return halves if is_faster else None


_HALVES: Any = WeakTensorKeyDictionary()


def _weights(model: nn.Module) -> list[Tensor]:
    """Those of linear layers that answer in float32 on a processor, each once."""
    layers = (module for module in model.modules() if type(module) is nn.Linear)
    once = {id(layer.weight): layer.weight for layer in layers}
    return [
        weight
        for weight in once.values()
        if weight.dtype == torch.float32
        and weight.device.type == "cpu"
        and weight.nbytes >= LEAST_OF_ONE
    ]


def packed(weight: Tensor) -> Halves | None:
    """A weight in halves; None where float16 does not hold it."""
    values = weight.detach()
    if not _fits(values):
        return None
    return Halves(torch.ops.quantized.linear_prepack_fp16(values, None), _sample(values).clone())


def _fits(weight: Tensor) -> bool:
    """Whether float16 changes each row by no more than float32 rounds a sum of so many."""
    return all(
        bool(((part.half().float() - part).norm(dim=1) <= CLOSE * part.norm(dim=1)).all())
        for part in weight.split(max(1, AT_ONCE // weight.shape[1]))
    )


def _sample(weight: Tensor) -> Tensor:
    """Some of its values, along a diagonal."""
    values = weight.detach()
    rows, columns = (max(1, side // SAMPLE) for side in values.shape)
    return values[::rows, ::columns].diagonal()


def _faster() -> dict[int, bool]:
    """For so many rows and more, whether they are the faster way with as many threads as now."""
    threads = torch.get_num_threads()
    if threads not in _KNOWN:
        tried = cache(_tried)
        _KNOWN[threads] = {
            least: found(
                f"threads: {threads}, rows: {rows}, in halves", partial(_is_faster, rows, tried)
            )
            for least, rows in MEASURED.items()
        }
    return _KNOWN[threads]


_KNOWN: dict[int, dict[int, bool]] = {}


def _is_faster(rows: int, tried: Callable[[], Tried]) -> bool:
    return _times_as_fast(rows, tried()) >= WORTH_IT


def _times_as_fast(rows: int, tried: Tried) -> float:
    """How many times as fast they are as the faster of the libraries; 0 where there are none."""
    if not tried:
        return 0.0
    # no random numbers: whoever draws some goes on as if nothing had been measured
    states = torch.ones(rows, TRIED[1])
    with torch.inference_mode():
        usual = seconds(lambda each: functional.linear(states, each[0]), tried)
        if torch.backends.mkldnn.is_available():
            product = torch.ops.mkldnn._linear_pointwise
            other = seconds(lambda each: product(states, each[0], None, "none", [], ""), tried)
            usual = min(usual, other)
        return usual / seconds(lambda each: each[1].multiply(states, None), tried)


def _tried() -> Tried:
    """Weights and their halves, more than most processors keep; none where nothing packs them."""
    if ENGINE not in torch.backends.quantized.supported_engines:
        return ()
    weights = [torch.ones(TRIED) for _ in range(LEAST // (4 * TRIED[0] * TRIED[1]))]
    made = [(weight, packed(weight)) for weight in weights]
    return [(weight, halves) for weight, halves in made if halves is not None]
