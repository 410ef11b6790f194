"""Queries and keys turned by one kernel, in attention that turns them by a known function.

An attention's `forward` finds its `apply_rotary_pos_emb` among the names of its file. It is
let find another there, which asks for the kernel and, where there is none, for the
function that it stands for; the file and the class stay as they are. Which pairs of numbers a
function turns (RoPE, arXiv 2104.09864) is found out by trying it.
"""

from collections.abc import Callable
from functools import cache, update_wrapper
from types import FunctionType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tuneglm.models import kernels
from tuneglm.models.kernels import Rotation

NAME = "apply_rotary_pos_emb"
TRIED = 16  # numbers of the heads that are tried
CLOSE = 1e-6


class Form(NamedTuple):
    """Which numbers of a head are a pair, and where their cosines and sines stand.

    blocks     equal parts of the turned numbers that are turned each by itself, the first half
               of a part with its second; None: neighbours are pairs
    is_shared  both of a pair take the column that has the pair's number, not each its own
    is_whole   the function takes cosines and sines for all numbers of a head, and no fewer
    """

    blocks: int | None
    is_shared: bool
    is_whole: bool = False

    def apart(self, turned: int) -> int:
        """How far from each other the two of a pair stand."""
        return 1 if self.blocks is None else turned // (2 * self.blocks)


# LLaMA's halves; GLM's neighbours; neighbours with a column each; ChatGLM-6B's two halves
FORMS = (Form(1, False), Form(None, True), Form(None, False), Form(2, False))


def turned_forward(kind: type[Any]) -> Any:
    """An attention's forward that turns by one kernel; None where it is none that is known."""
    forward = kind.forward
    if not isinstance(forward, FunctionType) or NAME not in forward.__code__.co_names:
        return None
    turn = forward.__globals__.get(NAME)
    form = form_of(turn) if callable(turn) else None
    return None if form is None else _finding(forward, turn, form)


@cache
def _finding(forward: FunctionType, turn: Callable[..., Any], form: Form) -> FunctionType:
    """The same code, for which `apply_rotary_pos_emb` is another function."""
    names = {**forward.__globals__, NAME: by_kernel(turn, form)}
    # with its file's name, compilers would look the function up in that file
    names.pop("__name__", None)
    found = FunctionType(
        forward.__code__, names, forward.__name__, forward.__defaults__, forward.__closure__
    )
    found.__kwdefaults__ = forward.__kwdefaults__
    update_wrapper(found, forward)
    return found


def by_kernel(turn: Callable[..., Any], form: Form) -> Callable[..., Any]:
    """A function that gives what `turn` does."""

    def turned(query: Tensor, key: Tensor, cos: Tensor, sin: Tensor, **named: Any) -> Any:
        is_fit = not form.is_whole or cos.shape[-1] == query.shape[-1]
        if named or not is_fit or not kernels.take(query):
            return turn(query, key, cos, sin, **named)
        return _Turn.apply(query, key, cos, sin, form)

    return turned


class _Turn(torch.autograd.Function):
    """x₁ · cos₁ − x₂ · sin₁ and x₂ · cos₂ + x₁ · sin₂ of each pair of queries and of keys."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, query: Tensor, key: Tensor, cos: Tensor, sin: Tensor, form: Form
    ) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(cos, sin)
        apart, dtype = form.apart(cos.shape[-1]), torch.promote_types(query.dtype, cos.dtype)
        ctx.back = Rotation(apart, form.is_shared, True, query.dtype)
        return _turned(query, key, cos, sin, Rotation(apart, form.is_shared, False, dtype))

    @staticmethod
    def backward(ctx: Any, of_query: Tensor, of_key: Tensor) -> Any:  # type: ignore[override]
        cos, sin = ctx.saved_tensors
        turned = _turned(_in_order(of_query), _in_order(of_key), cos, sin, ctx.back)
        return *turned, None, None, None


def _in_order(states: Tensor) -> Tensor:
    """The same with the numbers of a head one behind the other, which gradients need not have."""
    return states if states.stride(-1) == 1 else states.contiguous()


def _turned(
    query: Tensor, key: Tensor, cos: Tensor, sin: Tensor, rotation: Rotation
) -> tuple[Tensor, Tensor]:
    done = kernels.turn(query, key, cos, sin, rotation)
    if done is not None:
        return done
    both = [_by_torch(each, cos, sin, rotation).to(rotation.dtype) for each in (query, key)]
    return both[0], both[1]


def _by_torch(states: Tensor, cos: Tensor, sin: Tensor, rotation: Rotation) -> Tensor:
    """Queries or keys of (batch, heads, length, head_dim), their first numbers turned."""
    turned = cos.shape[-1]
    cosines, sines = (_of_pairs(each, rotation) for each in (cos, sin))
    if rotation.is_back:
        sines = -sines.flip(-2)
    pairs = states[..., :turned].unflatten(-1, (-1, 2, rotation.apart))
    crossed = torch.stack((-pairs[..., 1, :], pairs[..., 0, :]), dim=-2)
    sums = (pairs * cosines + crossed * sines).flatten(-3)
    return torch.cat((sums, states[..., turned:].to(sums.dtype)), dim=-1)


def _of_pairs(table: Tensor, rotation: Rotation) -> Tensor:
    """(batch, length, turned) → (batch, 1, length, blocks, 2, apart)."""
    if rotation.is_shared:
        table = table[..., : table.shape[-1] // 2].repeat_interleave(2, dim=-1)
    return table.unsqueeze(1).unflatten(-1, (-1, 2, rotation.apart))


@cache
def form_of(turn: Callable[..., Any]) -> Form | None:
    """Which of the known forms a function turns in: it is tried, also how it rounds."""
    draw = torch.Generator().manual_seed(0)
    query, key = (torch.randn(2, heads, 3, TRIED, generator=draw) for heads in (4, 2))
    cos, sin = (torch.randn(2, 3, TRIED, generator=draw) for _ in range(2))
    whole = query, key, cos, sin
    some = query, key, cos[..., : TRIED // 2], sin[..., : TRIED // 2]
    half = tuple(each.bfloat16() for each in whole)
    for form in FORMS:
        if _is_alike(turn, form, whole, CLOSE) and _is_alike(turn, form, half, 0.0):
            takes_some = _is_alike(turn, form, some, CLOSE)
            return form._replace(is_whole=not takes_some)
    return None


def _is_alike(turn: Any, form: Form, given: tuple[Tensor, ...], tolerance: float) -> bool:
    try:
        with torch.no_grad():
            wanted = turn(*given)
            found = _Turn.apply(*given, form)
        return len(wanted) == len(found) and all(
            one.dtype == other.dtype
            and one.shape == other.shape
            and bool(torch.allclose(one, other, atol=tolerance, rtol=tolerance))
            for one, other in zip(found, wanted, strict=True)
        )
    except (TypeError, ValueError, AttributeError, RuntimeError):
        return False
