"""Norm, gate and rotation by one kernel each way, on a GPU that has Triton.

As torch computes them they are a dozen kernels each. Here each is asked for by a function
that gives None where it has no kernel for what it is handed, or none that works; whoever
asks then computes it by torch, which is the same but for the order of sums. The kernels
themselves are in triton_kernels.py.

The gradient of a norm's weight is a sum of as many parts as rows give, added up by torch:
the same bits each time.
"""

import importlib.util
import warnings
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

TYPES = (torch.float32, torch.bfloat16, torch.float16)
CAPABLE = (8, 0)  # what Triton supports of NVIDIA's cards
LARGEST_NORM = 16384  # numbers of a row that one program holds
LARGEST_HEAD = 512
TILE = 2048  # numbers of some narrow rows or heads that one program takes
BLOCK = 1024  # of a gated row
PARTS = 256  # of the sum that is a weight's gradient
WARPS = 4
# short memory, and what a kernel before this one did wrong
NOT_OURS = tuple(
    getattr(torch, name)
    for name in ("OutOfMemoryError", "AcceleratorError")
    if hasattr(torch, name)
)

_state = {"works": True}


class Rotation(NamedTuple):
    """How pairs of numbers of a head are turned.

    apart      how far from each other the two of a pair stand
    is_shared  both take the column of cosines and sines that has the pair's number
    is_back    back, by the transposed matrix, which is the gradient's way
    dtype      of what comes out
    """

    apart: int
    is_shared: bool
    is_back: bool
    dtype: torch.dtype


def are_at_hand() -> bool:
    """Whether this process could launch kernels at all."""
    return torch.cuda.is_available() and _is_installed() and _state["works"]


def take(states: Tensor) -> bool:
    """Whether these states may be computed by kernels, whatever is computed."""
    return (
        states.is_cuda
        and not torch.compiler.is_compiling()  # which makes kernels of its own
        and _state["works"]
        and states.dtype in TYPES
        and _is_capable(states.get_device())
        and states.numel() > 0
    )


@cache
def _is_installed() -> bool:
    return importlib.util.find_spec("triton") is not None


@cache
def _is_capable(device: int) -> bool:
    return _is_installed() and torch.cuda.get_device_capability(device) >= CAPABLE


def norm(states: Tensor, weight: Tensor, epsilon: float) -> tuple[Tensor, Tensor] | None:
    """w · x / √(mean x² + ε) of (…, width), and 1 / √… as (…, 1) in float32."""
    width = states.shape[-1]
    if not take(states) or not _is_gain(weight, states) or width > LARGEST_NORM:
        return None
    rows = _rows(states)
    output = states.new_empty(states.shape, dtype=_promoted(states, weight))
    inverse = states.new_empty((*states.shape[:-1], 1), dtype=torch.float32)
    block, tile, warps = _norm_sizes(width)
    is_done = _launch(
        "norm",
        (_parts(len(rows), tile),),
        (rows, weight, output, inverse, len(rows), rows.stride(0), epsilon, width, block, tile),
        warps,
    )
    return (output, inverse) if is_done else None


def norm_back(
    gradient: Tensor, states: Tensor, weight: Tensor, inverse: Tensor, is_trained: bool
) -> tuple[Tensor, Tensor | None] | None:
    """The gradients of states, and of a trained weight."""
    width = states.shape[-1]
    if not take(states) or not _is_gain(weight, states) or width > LARGEST_NORM:
        return None
    arrived, rows = _rows(gradient), _rows(states)
    block, tile, warps = _norm_sizes(width)
    parts = _parts(len(rows), tile)
    of_states = states.new_empty(states.shape)
    summed = of_states
    if is_trained:
        parts = min(parts, PARTS)
        summed = states.new_empty((parts, width), dtype=torch.float32)
    tensors = (arrived, rows, weight, inverse, of_states, summed)
    numbers = (len(rows), arrived.stride(0), rows.stride(0), width, block, tile, is_trained)
    if not _launch("norm_back", (parts,), (*tensors, *numbers), warps):
        return None
    return of_states, summed.sum(0).to(weight.dtype) if is_trained else None


def gated(gate: Tensor, values: Tensor) -> Tensor | None:
    """silu(gate) · values of (…, width) each."""
    width = gate.shape[-1]
    if not take(gate) or not _are_alike(gate, values):
        return None
    one, other = _rows(gate), _rows(values)
    output = gate.new_empty(gate.shape)
    given = (one, other, output, one.stride(0), other.stride(0), width, BLOCK)
    return output if _launch("gated", (len(one) * _parts(width, BLOCK),), given) else None


def gated_back(
    gradient: Tensor, gate: Tensor, values: Tensor, of_gate: Tensor, of_values: Tensor
) -> bool:
    """Fill the last two, the gradients of gate and values; False where it was not done."""
    width = gate.shape[-1]
    if not take(gate) or not _are_alike(gate, values, gradient, of_gate, of_values):
        return False
    tensors = [_rows(each) for each in (gradient, gate, values)]
    # these two are written to: a copy would not do
    tensors += [each.view(-1, width) for each in (of_gate, of_values)]
    strides = [each.stride(0) for each in tensors]
    blocks = len(tensors[0]) * _parts(width, BLOCK)
    return _launch("gated_back", (blocks,), (*tensors, *strides, width, BLOCK))


def turn(
    query: Tensor, key: Tensor, cos: Tensor, sin: Tensor, rotation: Rotation
) -> tuple[Tensor, Tensor] | None:
    """Queries and keys of (batch, heads, length, head_dim), their first numbers turned.

    They come out as they went in, but lie in memory as (batch, length, heads, head_dim).

    cos, sin  (batch or 1, length, numbers of a head that are turned)
    """
    if not take(query) or not _are_turned(query, key, cos, sin):
        return None
    batch, queries, length, width = query.shape
    keys, turned = key.shape[1], cos.shape[-1]
    outputs = [
        query.new_empty((batch, length, heads, width), dtype=rotation.dtype)
        for heads in (queries, keys)
    ]
    pairs, rest, tile = _turn_sizes(max(queries, keys), width, turned)
    strides = (*query.stride()[:3], *key.stride()[:3], *_table_strides(cos))
    sizes = (queries, keys, width, turned, *rotation[:3], tile, pairs, rest)
    is_done = _launch(
        "turn",
        (batch * length, _parts(queries, tile) + _parts(keys, tile)),
        (query, key, cos, sin, *outputs, length, *strides, *sizes),
    )
    return (outputs[0].transpose(1, 2), outputs[1].transpose(1, 2)) if is_done else None


def _is_gain(weight: Tensor, states: Tensor) -> bool:
    """Whether a norm's weight is one that its kernel reads."""
    return (
        weight.dtype in TYPES
        and weight.shape == states.shape[-1:]
        and weight.is_contiguous()
        and weight.device == states.device
    )


def _are_alike(one: Tensor, *others: Tensor) -> bool:
    return all(
        each.shape == one.shape and each.dtype == one.dtype and each.device == one.device
        for each in others
    )


def _are_turned(query: Tensor, key: Tensor, cos: Tensor, sin: Tensor) -> bool:
    """Whether these lie in memory, and fit each other, as the kernel takes them."""
    if query.ndim != 4 or key.ndim != 4 or cos.ndim != 3 or query.shape[-1] > LARGEST_HEAD:
        return False
    batch, _, length, width = query.shape
    return (
        key.shape == (batch, key.shape[1], length, width)
        and key.dtype == query.dtype
        and key.shape[1] > 0
        and cos.dtype in TYPES
        and cos.dtype == sin.dtype
        and cos.shape[0] in (1, batch)
        and cos.shape[1] == length
        and cos.shape[2] <= width
        and sin.shape == cos.shape
        and sin.stride() == cos.stride()
        and query.stride(-1) == key.stride(-1) == cos.stride(-1) == 1
        and query.device == key.device == cos.device == sin.device
    )


def _table_strides(table: Tensor) -> tuple[int, int]:
    """Of batch and place; one table serves a whole batch."""
    return (0 if table.shape[0] == 1 else table.stride(0)), table.stride(1)


def _rows(states: Tensor) -> Tensor:
    """(…, width) → (rows, width), the numbers of a row one behind the other."""
    rows = states.reshape(-1, states.shape[-1])
    return rows if rows.stride(1) == 1 else rows.contiguous()


def _promoted(one: Tensor, other: Tensor) -> torch.dtype:
    return torch.promote_types(one.dtype, other.dtype)


def _parts(size: int, part: int) -> int:
    return -(-size // part)


@cache
def _norm_sizes(width: int) -> tuple[int, int, int]:
    """Columns and rows of a program's tile, and its warps."""
    block = _power(width)
    return block, max(1, TILE // block), min(32, max(WARPS, block // 512))


@cache
def _turn_sizes(heads: int, width: int, turned: int) -> tuple[int, int, int]:
    """Pairs and other numbers of a head, and heads of a program's tile."""
    pairs, rest = _power(turned // 2), _power(max(1, width - turned))
    return pairs, rest, min(_power(heads), max(1, TILE // _power(width)))


def _power(size: int) -> int:
    """The next power of two: a tile's sides are such."""
    return 1 << (size - 1).bit_length()


@cache
def _kernel(name: str) -> Any:
    from tuneglm.models import triton_kernels

    return getattr(triton_kernels, name)


def _launch(name: str, grid: tuple[int, ...], given: tuple[Any, ...], warps: int = WARPS) -> bool:
    """Whether a kernel was launched; from the first that cannot be on, none is any more."""
    device = given[0].get_device()
    try:
        kernel = _kernel(name)[grid]
        # Triton launches on the current GPU, wherever the states are
        if device < 0 or device == torch.cuda.current_device():
            kernel(*given, num_warps=warps)
        else:
            with torch.cuda.device(device):
                kernel(*given, num_warps=warps)
    except Exception as error:  # no list says what compilers, linkers and drivers may raise
        if isinstance(error, NOT_OURS):
            raise
        _give_up(name, error)
        return False
    return True


def _give_up(name: str, error: Exception) -> None:
    _state["works"] = False
    warnings.warn(
        f"The kernel `{name}` could not be compiled or launched, so that norms, gates and "
        f"rotations are computed by torch, which is slower: {type(error).__name__}: {error}",
        stacklevel=2,
    )
