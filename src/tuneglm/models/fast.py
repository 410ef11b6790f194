"""A model's own layers, computed faster and with less kept for the way back.

`make_fast` puts other ways to compute in place of those that modules came with; weights,
names and results stay. Each is for modules of which it is known, or found out by trying,
that they compute just that:

    linear layer            the faster library (products.py)
    LoRA of peft's          one step forward and one back: input and x·Aᵀ are kept, no sum
    RMSNorm                 the input is kept, not what it is divided by or became in between
    gated MLP               gate and values are kept, not the activated gate
    rotation                on a GPU, of queries and keys at once (rotary.py)

On a GPU with Triton, norms, gates and rotations are one kernel forward and one back (kernels.py).
All else is left alone, and so are modules that somebody else has changed already.
"""

import copy
from functools import cache
from types import MethodType
from typing import Any

import torch
from peft.tuners.lora.layer import Linear as LoraLinear
from torch import Tensor, nn
from torch.nn import functional

from tuneglm.models import kernels
from tuneglm.models.products import by_onednn, linear, multiply, multiply_back
from tuneglm.models.rotary import turned_forward

TRIED = 8  # width of the small modules that are tried
CLOSE = 1e-5


def make_fast(model: nn.Module) -> None:
    """Let a model's modules compute as this file says, where they can."""
    by_onednn()  # not to be measured in the middle of something
    for module in model.modules():
        forward = None if "forward" in vars(module) else _forward_of(module)
        if forward is not None:
            module.forward = MethodType(forward, module)


def is_fast(module: nn.Module) -> bool:
    """Whether a linear layer computes as this file has it, and as it came otherwise."""
    return getattr(module.forward, "__func__", None) is _linear_forward


def _forward_of(module: nn.Module) -> Any:
    if type(module) is nn.Linear:
        return _linear_forward
    if type(module) is LoraLinear:
        return _lora_forward
    kind: Any = type(module)
    if hasattr(module, "variance_epsilon") and is_rms_norm(kind):
        return _norm_forward
    if hasattr(module, "down_proj"):
        return gated_forward(module)
    return turned_forward(kind) if kernels.are_at_hand() else None


def _linear_forward(module: Any, states: Tensor) -> Tensor:
    return linear(states, module.weight, module.bias)


def computed_in(states: Tensor) -> torch.dtype:
    """The type that autocast gives to products of these states, or their own."""
    device = states.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else states.dtype


def _lora_forward(module: Any, states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """(…, in) → (…, out), by peft itself where it is not the plain case."""
    name = _only_adapter(module)
    if args or kwargs or name is None or not _is_plain(module, name, states):
        output: Tensor = type(module).forward(module, states, *args, **kwargs)
        return output
    base, down, up = module.base_layer, module.lora_A[name].weight, module.lora_B[name].weight
    dtype = computed_in(states)
    weights = (base.weight, base.bias, down, up)
    given = [None if each is None else each.to(dtype) for each in weights]
    with torch.autocast(states.device.type, enabled=False):
        summed: Tensor = _Lora.apply(states.to(dtype), *given, module.scaling[name])
    return summed


def _only_adapter(module: Any) -> str | None:
    """The adapter that is on, where it is one and not merged into the weight."""
    names = [name for name in module.active_adapters if name in module.lora_A]
    is_on = not module.disable_adapters and not module.merged
    return names[0] if is_on and len(names) == 1 else None


def _is_plain(module: Any, name: str, states: Tensor) -> bool:
    """Whether an adapter is two matrices beside a frozen one, all computed in one type."""
    base, down, up = module.base_layer, module.lora_A[name], module.lora_B[name]
    if type(base) is not nn.Linear or name in module.lora_variant:
        return False
    if any(each.requires_grad for each in base.parameters()):
        return False
    if any(type(each) is not nn.Linear or each.bias is not None for each in (down, up)):
        return False
    dropout = module.lora_dropout[name]
    if module.training and not isinstance(dropout, nn.Identity):
        return False
    if torch.is_autocast_enabled(states.device.type):
        return True
    return bool(states.dtype == base.weight.dtype == down.weight.dtype == up.weight.dtype)


class _Lora(torch.autograd.Function):
    """x · Wᵀ + b + s · (x · Aᵀ) · Bᵀ (arXiv 2106.09685) of a frozen W and b."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,
        states: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        down: Tensor,
        up: Tensor,
        scaling: float,
    ) -> Tensor:
        inner = functional.linear(states, down)
        output = multiply(states, weight, bias)
        output.view(-1, len(up)).addmm_(_rows(inner), up.t(), alpha=scaling)
        ctx.save_for_backward(states, weight, down, up, inner)
        ctx.scaling = scaling
        return output

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:  # type: ignore[override]
        states, weight, down, up, inner = ctx.saved_tensors
        rows = _rows(gradient)
        of_inner = torch.mm(rows, up).mul_(ctx.scaling)
        of_up = torch.mm(rows.t(), _rows(inner)).mul_(ctx.scaling)
        of_down = torch.mm(of_inner.t(), _rows(states))
        of_states = None
        if ctx.needs_input_grad[0]:
            of_states = multiply_back(gradient, weight)
            of_states.view(-1, down.shape[1]).addmm_(of_inner, down)
        return of_states, None, None, of_down, of_up, None


def _rows(states: Tensor) -> Tensor:
    """(…, width) → (rows, width)."""
    return states.reshape(-1, states.shape[-1])


def _norm_forward(module: Any, states: Tensor) -> Tensor:
    weight = module.weight
    if not torch.is_grad_enabled() and states.dtype == weight.dtype == torch.float32:
        return functional.rms_norm(states, weight.shape, weight, module.variance_epsilon)
    output: Tensor = _Norm.apply(states, weight, module.variance_epsilon)
    return output


class _Norm(torch.autograd.Function):
    """w · x / √(mean x² + ε) (arXiv 1910.07467), in float32 within."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, weight: Tensor, epsilon: float) -> Tensor:  # type: ignore[override]
        done = kernels.norm(states, weight, epsilon)
        if done is not None:
            ctx.save_for_backward(states, weight, done[1])
            return done[0]
        wide = states.float()
        norm = torch.linalg.vector_norm(wide, dim=-1, keepdim=True)
        inverse = norm.square_().div_(wide.shape[-1]).add_(epsilon).rsqrt_()
        ctx.save_for_backward(states, weight, inverse)
        return weight * (wide * inverse).to(states.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:  # type: ignore[override]
        states, weight, inverse = ctx.saved_tensors
        done = kernels.norm_back(gradient, states, weight, inverse, ctx.needs_input_grad[1])
        if done is not None:
            return *done, None
        wide = states.float()
        of_weight = None
        if ctx.needs_input_grad[1]:
            of_weight = _rows(gradient * (wide * inverse).to(states.dtype)).sum(0).to(weight.dtype)
        scaled = (gradient * weight).float()
        along = (scaled * wide).sum(-1, keepdim=True).mul_(inverse**3).div_(-wide.shape[-1])
        of_states = (scaled * inverse).addcmul_(wide, along)
        return of_states.to(states.dtype), of_weight, None


@cache
def is_rms_norm(kind: type[nn.Module]) -> bool:
    """Whether modules of a class compute what `_Norm` does: a small one is tried."""
    draw = torch.Generator().manual_seed(0)
    states = 3 * torch.randn(4, TRIED, generator=draw)
    try:
        with torch.device("cpu"):
            module: Any = kind(TRIED, eps=0.5)  # type: ignore[call-arg]
        weight = torch.randn(TRIED, generator=draw)
        module.weight.data.copy_(weight)
        wanted = module(states)
    except (TypeError, AttributeError, RuntimeError):
        return False
    return _is_close(_Norm.apply(states, module.weight, module.variance_epsilon), wanted)


def gated_forward(module: Any) -> Any:
    """How a gated MLP is computed here; None where it is none that is known."""
    forward = _fused_forward if hasattr(module, "gate_up_proj") else _split_forward
    if not hasattr(module, "config") or not _is_gated(type(module), forward, module.config):
        return None
    return forward


def _fused_forward(module: Any, states: Tensor) -> Tensor:
    output: Tensor = module.down_proj(_GatedPair.apply(module.gate_up_proj(states)))
    return output


def _split_forward(module: Any, states: Tensor) -> Tensor:
    output: Tensor = module.down_proj(
        _Gated.apply(module.gate_proj(states), module.up_proj(states))
    )
    return output


class _Gated(torch.autograd.Function):
    """silu(gate) · values (arXiv 2002.05202)."""

    @staticmethod
    def forward(ctx: Any, gate: Tensor, values: Tensor) -> Tensor:  # type: ignore[override]
        ctx.save_for_backward(gate, values)
        return _gated(gate, values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:  # type: ignore[override]
        gate, values = ctx.saved_tensors
        of_gate, of_values = torch.empty_like(gate), torch.empty_like(values)
        _gated_back(gradient, gate, values, of_gate, of_values)
        return of_gate, of_values


class _GatedPair(torch.autograd.Function):
    """The same of (…, gate and values): their gradients are one tensor too."""

    @staticmethod
    def forward(ctx: Any, both: Tensor) -> Tensor:  # type: ignore[override]
        ctx.save_for_backward(both)
        return _gated(*both.chunk(2, dim=-1))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:  # type: ignore[override]
        (both,) = ctx.saved_tensors
        of_both = torch.empty_like(both)
        _gated_back(gradient, *both.chunk(2, dim=-1), *of_both.chunk(2, dim=-1))
        return of_both


def _gated(gate: Tensor, values: Tensor) -> Tensor:
    done = kernels.gated(gate, values)
    return functional.silu(gate).mul_(values) if done is None else done


def _gated_back(
    gradient: Tensor, gate: Tensor, values: Tensor, of_gate: Tensor, of_values: Tensor
) -> None:
    """Fill the last two: the gradients of gate and values. What comes in between lies in them."""
    if kernels.gated_back(gradient, gate, values, of_gate, of_values):
        return
    torch.ops.aten.silu.out(gate, out=of_gate)
    torch.mul(of_gate, gradient, out=of_values)
    torch.mul(gradient, values, out=of_gate)
    torch.ops.aten.silu_backward.grad_input(of_gate, gate, grad_input=of_gate)


_KNOWN: dict[tuple[Any, ...], bool] = {}
# a config's names for the function between
ACTIVATIONS = ("hidden_act", "hidden_activation")


def _is_gated(kind: type[nn.Module], forward: Any, config: Any) -> bool:
    """Whether MLPs of a class compute what `forward` does: a small one is tried."""
    key = kind, forward, *(str(getattr(config, name, None)) for name in ACTIVATIONS)
    if key not in _KNOWN:
        _KNOWN[key] = _tried(kind, forward, config)
    return _KNOWN[key]


def _tried(kind: Any, forward: Any, config: Any) -> bool:
    small = copy.copy(config)
    try:
        small.hidden_size, small.intermediate_size = TRIED, 2 * TRIED
        with torch.device("cpu"), torch.random.fork_rng(devices=()):
            module, states = kind(small), torch.randn(4, TRIED)
            with torch.no_grad():
                return _is_close(forward(module, states), module(states))
    except (TypeError, AttributeError, RuntimeError):
        return False


def _is_close(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and bool(torch.allclose(one, other, atol=CLOSE, rtol=CLOSE))
