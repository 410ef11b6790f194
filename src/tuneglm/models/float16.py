"""float16 that does not overflow: for cards that have no bfloat16 (V100, T4, 2080 Ti).

float16 has three bits more than bfloat16, the very ten of TF32, and ends at 65,504.
The states that layers hand on grow past that, as do the products within an MLP;
from there on all is inf and NaN. Here a model whose weights are float16 multiplies
in float16 and holds everything else in float32:

    embeddings, residual stream, norms, activation functions, logits   float32
    linear layers   each row of states is divided by a power of two, so that neither it nor a
                    sum of its product can pass 2¹⁵, nor vanish; the product, float16, is
                    multiplied back in float32: exact but for the rounding to ten bits
    gradients       likewise
    attention       by its kernel in float16, which adds up its scores in float32; eager
                    attention, which would round them, in float32

By Cauchy and Schwarz a sum Σ x·w is at most |x|·|w|, and so are its parts, in whichever
order they are added; |w| is taken of the whole weight, which holds for both directions.
Frozen weights stay as they are: nothing is held twice.
"""

import logging
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.modeling_layers import GradientCheckpointingLayer

from tuneglm.models.packed import PackedLinear, multiply, multiply_back

log = logging.getLogger(__name__)

# powers of two: what a product may reach, and what a float32 can be multiplied by
HIGHEST, FLOAT32_RANGE = 15, 126
# of two factors whose norms are free each may have half of the way to the highest product
FACTOR = HIGHEST - HIGHEST // 2
# where a module keeps what was found out of it
NORM, CONFIG = "float16_norm", "float16_config"


def compute_in_float16(model: Any) -> None:
    """Let a model compute as this module says, also parts that are added since it last did."""
    for module in model.modules():
        forward = _forward_of(module)
        if forward is not None and not _is_ours(module, forward):
            module.forward = MethodType(forward, module)
    for layer in _layers(model):
        setattr(layer, CONFIG, model.config)
    for module in (model.get_input_embeddings(), model.get_output_embeddings()):
        # what peft puts around them multiplies by itself
        if not isinstance(module, nn.Linear) and not _is_ours(module, _wide_forward):
            module.forward = MethodType(_wide_forward, module)
    plain = sorted({type(module).__name__ for module in model.modules() if _is_unknown(module)})
    if plain:
        log.warning("In float16 %s may overflow: bfloat16 or float32 is safe.", ", ".join(plain))


def computes_in_float16(model: Any) -> bool:
    """Whether `compute_in_float16` was called of it."""
    return any(_is_ours(module, _linear_forward) for module in model.modules())


def _forward_of(module: nn.Module) -> Any:
    if isinstance(module, nn.Linear):
        return _linear_forward
    if isinstance(module, nn.LayerNorm):
        return _layer_norm_forward
    if isinstance(module, nn.Embedding):
        return _wide_forward
    return _layer_forward if isinstance(module, GradientCheckpointingLayer) else None


def _is_ours(module: nn.Module, forward: Any) -> bool:
    return getattr(module.forward, "__func__", None) is forward


def _layers(model: nn.Module) -> list[nn.Module]:
    return [each for each in model.modules() if isinstance(each, GradientCheckpointingLayer)]


def _is_unknown(module: nn.Module) -> bool:
    """Whether a module multiplies by weights of its own in a way that is not known here."""
    weights = module.parameters(recurse=False)
    return _forward_of(module) is None and any(
        each.ndim > 1 and each.dtype == torch.float16 for each in weights
    )


def _layer_forward(module: Any, *args: Any, **kwargs: Any) -> Any:
    """A layer, in which only the attention's kernel is left to autocast."""
    is_eager = getattr(module, CONFIG)._attn_implementation == "eager"
    device = next(module.parameters()).device.type
    with torch.autocast(device, torch.float16, enabled=not is_eager):
        return type(module).forward(module, *args, **kwargs)


def _wide_forward(module: Any, *args: Any, **kwargs: Any) -> Tensor:
    """Embeddings in float32; of a head that peft wraps, a float16 product."""
    device = next(module.parameters()).device.type
    with torch.autocast(device, torch.float16):
        output: Tensor = type(module).forward(module, *args, **kwargs)
    return output.float()


def _layer_norm_forward(module: Any, states: Tensor) -> Tensor:
    bias = None if module.bias is None else module.bias.float()
    weight = None if module.weight is None else module.weight.float()
    shape = module.normalized_shape
    return functional.layer_norm(states.float(), shape, weight, bias, module.eps)


def _linear_forward(module: Any, states: Tensor) -> Tensor:
    """(…, in) → (…, out) in float32."""
    trained = module.weight if module.weight.requires_grad else None
    output: Tensor = _Product.apply(states, trained, module)
    return output if module.bias is None else output + module.bias.float()


class _Product(torch.autograd.Function):
    """x · Wᵀ in float16, from float32 and to float32, whatever W is held in."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, trained: Tensor | None, module: Any) -> Tensor:  # type: ignore[override]
        with torch.autocast(states.device.type, enabled=False):
            powers = _powers(states, _norm(module))
            scaled = _scaled(states, -powers)
            output = _multiplied(module, scaled).float().mul_(_power_of_two(powers))
        ctx.module, ctx.dtype = module, states.dtype
        ctx.save_for_backward(*((scaled, powers) if trained is not None else ()))
        return output

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:  # type: ignore[override]
        of_states, of_weight = None, None
        with torch.autocast(gradient.device.type, enabled=False):
            if ctx.needs_input_grad[0]:
                powers = _powers(gradient, _norm(ctx.module))
                product = _multiplied_back(ctx.module, _scaled(gradient, -powers))
                of_states = product.float().mul_(_power_of_two(powers)).to(ctx.dtype)
            if ctx.needs_input_grad[1]:
                scaled, powers = ctx.saved_tensors
                of_weight = _outer(gradient, scaled.float().mul_(_power_of_two(powers)))
        return of_states, of_weight, None


def _powers(states: Tensor, norm: Tensor | int) -> Tensor:
    """By which power of two each row is to be divided, (…, 1), that its product fits."""
    return (_exponents(states) + norm - HIGHEST).clamp(-FLOAT32_RANGE, FLOAT32_RANGE)


def _power_of_two(powers: Tensor) -> Tensor:
    """2 to whole powers, float32: its exponent's bits are written."""
    return ((powers + 127) << 23).view(torch.float32)


def _scaled(states: Tensor, powers: Tensor) -> Tensor:
    return (states.float() * _power_of_two(powers)).to(torch.float16)


def _norm(module: Any) -> Tensor:
    """The power of two above a weight's norm; of a frozen one it is looked at once."""
    known: Tensor | None = getattr(module, NORM, None)
    if known is None or module.weight.requires_grad:
        norm = torch.linalg.vector_norm(_weight(module).detach(), dtype=torch.float32)
        # rows alone must fit, too
        known = torch.frexp(norm).exponent.clamp(min=0)
        setattr(module, NORM, known)
    return known


def _weight(module: Any) -> Tensor:
    """(out, in), out of its bits where it is packed."""
    weight: Any = module.weight
    if isinstance(module, PackedLinear):
        whole: Tensor = module.dequantized(torch.float16).weight
        return whole
    if weight.is_floating_point():
        return module.weight.to(torch.float16)  # type: ignore[no-any-return]
    if _is_4bit(module):
        from bitsandbytes.functional import dequantize_4bit

        return dequantize_4bit(weight.data, weight.quant_state).to(torch.float16)
    largest = weight.SCB if weight.SCB is not None else module.state.SCB
    # in this order, as a largest value of 127th size has few bits left
    return weight.to(torch.float16).div_(127).mul_(largest.to(torch.float16)[:, None])  # type: ignore[no-any-return]


def _is_4bit(module: Any) -> bool:
    return getattr(module.weight, "quant_state", None) is not None


def _multiplied(module: Any, states: Tensor) -> Tensor:
    """x · Wᵀ of float16 states."""
    if isinstance(module, PackedLinear):
        return multiply(states, module.weight, module.weight_scale, module.bits)
    if _is_4bit(module):
        from bitsandbytes import matmul_4bit

        weight: Any = module.weight
        product: Tensor = matmul_4bit(states, weight.t(), quant_state=weight.quant_state)
        return product
    return functional.linear(states, _weight(module))


def _multiplied_back(module: Any, gradient: Tensor) -> Tensor:
    """g · W of a float16 gradient."""
    if isinstance(module, PackedLinear):
        return multiply_back(gradient, module.weight, module.weight_scale, module.bits)
    return gradient @ _weight(module)


def _outer(gradient: Tensor, states: Tensor) -> Tensor:
    """gᵀ · x over all rows, (out, in) in float32.

    A power that is taken of a row's x and given to its g changes nothing: both are made alike,
    so that a row is small in the sum or in neither.
    """
    gradient, states = gradient.float().flatten(0, -2), states.flatten(0, -2)
    apart = _exponents(states) - _exponents(gradient)
    shift = (apart // 2).clamp(-FLOAT32_RANGE, FLOAT32_RANGE)
    factors = gradient * _power_of_two(shift), states * _power_of_two(-shift)
    powers = [_powers(each.flatten(), FACTOR) for each in factors]
    left, right = (_scaled(each, -power) for each, power in zip(factors, powers, strict=True))
    product = (left.T @ right).float()
    for power in powers:
        product = product * _power_of_two(power)
    return product


def _exponents(states: Tensor) -> Tensor:
    """The powers of two above the norms of rows, (…, 1)."""
    norms = torch.linalg.vector_norm(states, dim=-1, keepdim=True, dtype=torch.float32)
    return torch.frexp(norms).exponent
