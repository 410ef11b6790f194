"""A model as it would be held, without its weights: types, bits and shapes from config.json alone.

empty_model   on the device `meta`: modules that a method can be applied to
as_if_on_cpu  its tensors as fake ones, on which a step runs that computes nothing
"""

import copy
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from tuneglm.models.family import Family
from tuneglm.models.packed import packed_bits, put_packed_linears
from tuneglm.models.precision import Placement
from tuneglm.models.quantization import quantize_linears
from tuneglm.models.skeleton import layers_of, skeleton
from tuneglm.models.weights import read_json

META = torch.device("meta")
# bitsandbytes' nf4: weights that share a constant, constants that share one in turn
WEIGHTS_A_CONSTANT, CONSTANTS_A_CONSTANT = 64, 256


def empty_model(
    folder: Path, family: Family, placement: Placement, layers: int | None = None
) -> PreTrainedModel:
    """The model of a folder with the types and bits of `placement`, with all or so many layers."""
    model = skeleton(folder, family, placement.attention, layers)
    nn.Module.to(model, placement.dtype)
    packed = packed_bits(read_json(folder / "config.json"))
    if packed is not None:
        put_packed_linears(model, packed)
    elif placement.bits is not None:
        for name in quantize_linears(model, placement):
            layer: Any = model.get_submodule(name.removesuffix(".weight"))
            _hold_in_bits(layer, placement)
    return model


def has_equal_layers(model: PreTrainedModel) -> bool:
    """Whether all layers of a model have weights of the same shapes."""
    shapes = {
        tuple((name, weight.shape) for name, weight in layer.named_parameters())
        for layer in layers_of(model)
    }
    return len(shapes) == 1


def as_if_on_cpu(model: nn.Module) -> None:
    """Let a model on `meta` have fake tensors of the processor; called in a FakeTensorMode."""
    made: dict[int, Any] = {}
    for module in model.modules():
        for name, weight in module._parameters.items():
            if weight is not None:
                module._parameters[name] = _parameter(weight, made)
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = _faked(buffer, made)


def _hold_in_bits(layer: Any, placement: Placement) -> None:
    """Give a layer of bitsandbytes what it has once its weight is packed."""
    from bitsandbytes.functional import QuantState
    from bitsandbytes.nn import Int8Params, Params4bit

    rows, columns = layer.weight.shape
    if placement.bits == 8:
        packed = torch.empty(rows, columns, dtype=torch.int8, device=META)
        scales = torch.empty(rows, device=META)
        layer.weight = Int8Params(packed, requires_grad=False, CB=packed, SCB=scales)
        # how many columns have outliers, which an evaluation multiplies apart, is in the data
        layer.state.threshold = 0.0
        return
    constants = -(-rows * columns // WEIGHTS_A_CONSTANT)
    state = QuantState(
        absmax=torch.empty(constants, dtype=torch.uint8, device=META),
        shape=torch.Size((rows, columns)),
        code=torch.empty(16, device=META),
        blocksize=WEIGHTS_A_CONSTANT,
        quant_type="nf4",
        dtype=placement.dtype,
        offset=torch.empty((), device=META),
        state2=QuantState(
            absmax=torch.empty(-(-constants // CONSTANTS_A_CONSTANT), device=META),
            code=torch.empty(256, device=META),
            blocksize=CONSTANTS_A_CONSTANT,
            dtype=torch.float32,
        ),
    )
    packed = torch.empty(-(-rows * columns // 2), 1, dtype=torch.uint8, device=META)
    layer.weight = Params4bit(
        packed, requires_grad=False, quant_state=state, bnb_quantized=True, quant_type="nf4"
    )
    layer.quant_state = state


def _parameter(weight: nn.Parameter, made: dict[int, Any]) -> nn.Parameter:
    """A fake parameter; what bitsandbytes hung on the true one hangs on it too."""
    if id(weight) not in made:
        fake = nn.Parameter(_empty(weight), requires_grad=weight.requires_grad)
        made[id(weight)] = fake
        # the packed bytes and their other name are one tensor
        made[id(getattr(weight, "CB", None))] = fake.data
        for name, value in weight.__dict__.items():
            setattr(fake, name, _faked(value, made))
    parameter: nn.Parameter = made[id(weight)]
    return parameter


def _faked(value: Any, made: dict[int, Any]) -> Any:
    """A tensor, or what holds some, with fake ones."""
    if isinstance(value, torch.Tensor):
        if id(value) not in made:
            made[id(value)] = _empty(value)
        return made[id(value)]
    if type(value).__name__ != "QuantState":
        return value
    fake = copy.copy(value)
    for name, inner in vars(value).items():
        setattr(fake, name, _faked(inner, made))
    return fake


def _empty(tensor: torch.Tensor) -> torch.Tensor:
    return torch.empty(tensor.shape, dtype=tensor.dtype, device="cpu")
