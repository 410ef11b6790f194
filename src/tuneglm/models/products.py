"""Matrix products, by whichever library in torch is the faster one on this processor.

torch leaves float32 products to MKL, which on a processor that Intel did not make takes
instructions half as wide as it has. oneDNN, which lies in torch as well, asks what the
processor can do and not who made it. Which of the two is faster for many rows is measured
once, in a tenth of a second, and kept. The two round otherwise: a run that goes on goes on with
the one that it began with, wherever that is and whatever is faster there.

A handful of rows, as one answer or several at once have them, is another matter: they wait for
memory. A weight that is kept in half the bytes for them (halves.py) is read so; for another it
depends on its shape, and is found out when it first meets so few while answers are drawn.

    linear       x · Wᵀ + b with its way back, for weights that are trained or frozen
    by_onednn    what was found out for many rows, a run began with, or TUNEGLM_PRODUCTS says
    go_on_with   what a run began with
    few_by_onednn  and for few rows of one weight
"""

import os
from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from tuneglm.errors import ConfigError
from tuneglm.models.halves import Halves, halves_for
from tuneglm.models.measured import VARIABLE, found, seconds

MANY_ROWS = 16  # from which on it is many
# so many times as fast, and no less, is another library worth it: for many rows, and for few,
# whose products wait for memory with either
WORTH_IT, FEW_WORTH_IT = 1.2, 1.05
# rows are best a multiple of it: oneDNN makes a kernel for each number of them, which takes a
# millisecond and half a megabyte, and keeps a thousand
EVEN = {"cpu": 16}
MEASURED = (256, 1024, 1024)  # rows, and the sides of a weight
# rows with which the weight itself is measured, for so many and more: MKL reads it once for
# one row, as often as there are rows for two or three, and in blocks for more
MEASURED_FEW = {1: 1, 2: 3, 4: 8}
CACHE = 2**27  # bytes, more than most processors keep of what they read last
LEAST = 2**18  # bytes of a weight for which asking oneDNN does not take longer than multiplying


def linear(states: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """(…, in) × (out, in) → (…, out), as `torch.nn.functional.linear`."""
    halves = _halves(states, weight)
    if halves is not None:
        return halves.multiply(states, bias)
    if not is_for_onednn(states, weight):
        return functional.linear(states, weight, bias)
    output: Tensor = _Linear.apply(states, weight, bias)
    return output


def is_for_onednn(states: Tensor, weight: Tensor) -> bool:
    """Whether a product goes to oneDNN: float32 on a processor where that is faster."""
    if not _is_plain(states, weight):
        return False
    rows = states.numel() // states.shape[-1]
    if rows >= MANY_ROWS:
        return by_onednn()
    # not in training, nor in a plan of it: there nothing is to be measured on the way
    return torch.is_inference_mode_enabled() and few_by_onednn(rows, weight)


def _halves(states: Tensor, weight: Tensor) -> Halves | None:
    """What multiplies the few rows of an answer, where a model keeps it for that."""
    if not torch.is_inference_mode_enabled() or not _is_plain(states, weight) or states.ndim < 2:
        return None
    return halves_for(states.numel() // states.shape[-1], weight)


def _is_plain(states: Tensor, weight: Tensor) -> bool:
    """Whether a product is of float32 on a processor."""
    plain = torch.float32 == states.dtype == weight.dtype and states.device.type == "cpu"
    return plain and not torch.is_autocast_enabled("cpu")


def multiply(states: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x · Wᵀ + b without a way back."""
    halves = _halves(states, weight)
    if halves is not None:
        return halves.multiply(states, bias)
    if is_for_onednn(states, weight):
        return _multiplied(states, weight, bias)
    return functional.linear(states, weight, bias)


def multiply_back(gradient: Tensor, weight: Tensor) -> Tensor:
    """g · W without a way back."""
    if is_for_onednn(gradient, weight):
        return _multiplied(gradient, weight.t(), None)
    return gradient @ weight


class _Linear(torch.autograd.Function):
    """x · Wᵀ + b by oneDNN; what is frozen keeps nothing for the way back."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:  # type: ignore[override]
        kept = states if ctx.needs_input_grad[1] else None
        ctx.save_for_backward(kept, weight if ctx.needs_input_grad[0] else None)
        return _multiplied(states, weight, bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:  # type: ignore[override]
        states, weight = ctx.saved_tensors
        of_states = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            of_states = _multiplied(gradient, weight.t(), None)
        rows = gradient.reshape(-1, gradient.shape[-1])
        if ctx.needs_input_grad[1]:
            # (out, rows) × (rows, in)
            of_weight = _multiplied(rows.t(), states.reshape(len(rows), -1).t(), None)
        if ctx.needs_input_grad[2]:
            of_bias = rows.sum(0)
        return of_states, of_weight, of_bias


def _multiplied(states: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x · Wᵀ + b; a transposed view of a weight costs oneDNN nothing."""
    product: Tensor = torch.ops.mkldnn._linear_pointwise(states, weight, bias, "none", [], "")
    return product


def by_onednn() -> bool:
    """Whether float32 products of many rows are to go to oneDNN.

    Raises ConfigError where TUNEGLM_PRODUCTS names no library.
    """
    return chosen(_BEGUN.get("by_onednn"))


def go_on_with(begun: bool | None) -> None:
    """Let `by_onednn` be, in this process, as a run was begun; None: as is faster here."""
    _BEGUN.clear()
    if begun is not None:
        _BEGUN["by_onednn"] = begun


_BEGUN: dict[str, bool] = {}


@cache
def chosen(begun: bool | None) -> bool:
    """See `by_onednn`; `begun` stands above what is measured, and below TUNEGLM_PRODUCTS."""
    asked = os.environ.get(VARIABLE, "auto")
    if asked not in ("auto", "onednn", "torch"):
        raise ConfigError(f"{VARIABLE} is `{asked}`.", "known: auto, onednn, torch")
    if asked == "torch" or not torch.backends.mkldnn.is_available():
        return False
    if asked == "onednn":
        return True
    if begun is not None:
        return begun
    rows, *sides = MEASURED
    return found("", lambda: _times_as_fast(rows, [torch.ones(*sides)]) >= WORTH_IT)


def few_by_onednn(rows: int, weight: Tensor) -> bool:
    """Whether products of a few rows with weights of this shape are to go to oneDNN."""
    if not rows or weight.nbytes < LEAST or not torch.backends.mkldnn.is_available():
        return False
    like = max(each for each in MEASURED_FEW if each <= rows)
    if os.environ.get(VARIABLE, "auto") != "auto":
        return by_onednn()
    outs, ins = weight.shape
    if (like, outs, ins) not in _FEW:
        measured = MEASURED_FEW[like]
        # how many threads wait for memory decides as well
        threads = torch.get_num_threads()
        _FEW[like, outs, ins] = found(
            f"threads: {threads}, rows: {measured}, {outs} × {ins}",
            lambda: _times_as_fast(measured, _copies(weight.detach())) >= FEW_WORTH_IT,
        )
    return _FEW[like, outs, ins]


_FEW: dict[tuple[int, int, int], bool] = {}


def _copies(weight: Tensor) -> list[Tensor]:
    """More of a weight than the processor keeps: between two tokens it reads all others too."""
    return [weight, *(weight.clone() for _ in range(CACHE // weight.nbytes))]


def _times_as_fast(rows: int, weights: Sequence[Tensor]) -> float:
    """How many times as fast oneDNN is as what torch takes by itself, with weights of one shape."""
    # no random numbers: whoever draws some goes on as if nothing had been measured
    states = torch.ones(rows, weights[0].shape[1])
    with torch.no_grad():
        usual = seconds(lambda weight: functional.linear(states, weight), weights)
        other = seconds(lambda weight: _multiplied(states, weight, None), weights)
    return usual / other
