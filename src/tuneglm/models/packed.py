"""The official packed checkpoints: int8 or int4 weights with a scale for each row.

    weight ≈ packed · scale          packed int8 (out, in) or (out, in / 2), scale float16 (out,)

With 4 bits two values share a byte: the even column in its high half, the odd one
in its low half, both signed. The weights stay packed in memory; each layer takes
its own apart in the forward and again in the backward, and never changes them.

Published as `quantization_bit` in config.json (chatglm-6b-int8 and -int4,
chatglm2-6b-int4). In transformers' own layout the same weights stand under
`quantization_config`, which plain transformers reads once this module is imported.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.quantizers import HfQuantizer, register_quantization_config, register_quantizer
from transformers.utils.quantization_config import QuantizationConfigMixin

from tuneglm.errors import ModelError
from tuneglm.models.precision import Bits, Width
from tuneglm.models.prefix import MODULE
from tuneglm.models.weights import read_json
from tuneglm.packages import need

PackedBits = Literal[4, 8]
METHOD = "glm_packed"
BYTES_AT_ONCE, BYTES_AT_ONCE_GPU = 2**19, 2**24
SCALE = "weight_scale"


def packed_bits(config: Mapping[str, Any]) -> PackedBits | None:
    """The width in which a checkpoint's config.json says that its layers are packed."""
    settings = config.get("quantization_config") or {}
    if not isinstance(settings, Mapping):
        raise ModelError(f"config.json has `quantization_config: {settings}`.", "download it again")
    bits = config.get("quantization_bit")
    if settings.get("quant_method") == METHOD:
        bits = settings.get("bits")
    if not bits:
        return None
    if bits not in get_args(PackedBits):
        raise ModelError(
            f"config.json has `quantization_bit: {bits}`; 4 and 8 are known.",
            "download config.json again",
        )
    if config.get("quantization_embeddings"):
        raise ModelError(
            "Its embeddings are packed too (`quantization_embeddings`), which is not read.",
            "take the -int4 or -int8 checkpoint whose embeddings are in 16 bits",
        )
    return bits


def bits_to_pack(folder: Path, bits: Width | Literal["auto"] | None) -> Bits | None:
    """What bitsandbytes is to make of a model that is to be held in `bits`: None is nothing.

    Raises ModelError where its files are packed in others, ConfigError where it is not installed.
    """
    packed = packed_bits(read_json(folder / "config.json"))
    if packed is None and (bits == 4 or bits == 8):
        need("quant", f"model.bits={bits}")
        return bits
    if packed is not None and bits not in (None, "auto", packed):
        raise ModelError(
            f"`{folder}` is packed in {packed} bits already; {bits} bits are for a 16-bit model.",
            "leave the bits out; `tuneglm export` writes its weights whole",
        )
    return None


def pack(weight: torch.Tensor, bits: PackedBits) -> tuple[torch.Tensor, torch.Tensor]:
    """A weight (out, in) → packed bytes and float16 scales, byte for byte as published.

    The arithmetic is that of the weight's type: pack float16 weights for the
    bytes of a published checkpoint.
    """
    largest = 2 ** (bits - 1) - 1
    scale = (weight.abs().amax(dim=-1) / largest).half()
    # a row of zeros has the scale 0 and stays zero
    rounded = torch.round(weight / scale[:, None].to(weight.dtype)).nan_to_num().to(torch.int8)
    if bits == 8:
        return rounded, scale
    if weight.shape[1] % 2:
        raise ModelError(
            f"A layer has {weight.shape[1]} columns; 4 bits need an even number.",
            "pack the model in 8 bits",
        )
    return (rounded[:, ::2] << 4) | (rounded[:, 1::2] & 0x0F), scale


def unpack(
    packed: torch.Tensor, scale: torch.Tensor, bits: PackedBits, dtype: torch.dtype
) -> torch.Tensor:
    """The way back: (out, in) in `dtype`."""
    rows, columns = packed.shape
    weight = torch.empty(rows, columns * 8 // bits, dtype=dtype, device=packed.device)
    if bits == 8:
        weight.copy_(packed)
    else:
        # shifting a signed byte to the right keeps its sign
        weight[:, ::2] = packed >> 4
        weight[:, 1::2] = (packed << 4) >> 4
    return weight.mul_(scale.to(dtype)[:, None])


def multiply(
    inputs: torch.Tensor, packed: torch.Tensor, scale: torch.Tensor, bits: PackedBits
) -> torch.Tensor:
    """x · Wᵀ in the type of x, with W taken apart by some rows at a time."""
    output = inputs.new_empty(*inputs.shape[:-1], len(packed))
    for rows in _row_parts(packed):
        weight = unpack(packed[rows], scale[rows], bits, inputs.dtype)
        output[..., rows] = inputs @ weight.T
    return output


def multiply_back(
    gradient: torch.Tensor, packed: torch.Tensor, scale: torch.Tensor, bits: PackedBits
) -> torch.Tensor:
    """g · W, likewise."""
    result: Any = 0
    for rows in _row_parts(packed):
        weight = unpack(packed[rows], scale[rows], bits, gradient.dtype)
        result = result + gradient[..., rows] @ weight
    return torch.as_tensor(result)


class _PackedProduct(torch.autograd.Function):
    """x · Wᵀ, with W taken apart anew in the backward."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, inputs: torch.Tensor, packed: torch.Tensor, scale: torch.Tensor, bits: PackedBits
    ) -> torch.Tensor:
        ctx.save_for_backward(packed, scale)
        ctx.bits = bits
        return multiply(inputs, packed, scale, bits)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:  # type: ignore[override]
        packed, scale = ctx.saved_tensors
        return multiply_back(gradient, packed, scale, ctx.bits), None, None, None


def _row_parts(packed: torch.Tensor) -> list[slice]:
    """A weight's rows in parts; on a GPU larger ones, for each part costs it a few launches."""
    size = BYTES_AT_ONCE_GPU if packed.is_cuda else BYTES_AT_ONCE
    step = max(1, size // packed.shape[1])
    return [slice(start, start + step) for start in range(0, len(packed), step)]


class PackedLinear(nn.Linear):
    """A linear layer whose weight stays packed; adapters can be put on it."""

    weight_scale: torch.Tensor

    def __init__(
        self, in_features: int, out_features: int, bias: bool, bits: PackedBits, dtype: Any = None
    ) -> None:
        # without nn.Linear's own: its weight would be made to be thrown away
        nn.Module.__init__(self)
        self.in_features, self.out_features, self.bits = in_features, out_features, bits
        columns = in_features * bits // 8
        self.weight = nn.Parameter(
            torch.zeros(out_features, columns, dtype=torch.int8), requires_grad=False
        )
        # a buffer, so that nothing which casts or counts parameters takes it for one
        self.register_buffer(SCALE, torch.zeros(out_features, dtype=torch.float16))
        # as in nn.Linear: None where there is none
        self.register_parameter(
            "bias", nn.Parameter(torch.zeros(out_features, dtype=dtype)) if bias else None
        )

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """(…, in) → (…, out) in the input's type."""
        output: torch.Tensor = _PackedProduct.apply(
            input, self.weight, self.weight_scale, self.bits
        )
        return output if self.bias is None else output + self.bias

    def dequantized(self, dtype: torch.dtype) -> nn.Linear:
        """The same layer with its weight taken apart."""
        linear = nn.Linear(
            self.in_features, self.out_features, bias=self.bias is not None, device="meta"
        )
        # rounded once: a scale in bfloat16 would be off by itself
        weight = unpack(self.weight, self.weight_scale, self.bits, torch.float32).to(dtype)
        linear.weight = nn.Parameter(weight)
        linear.bias = None if self.bias is None else nn.Parameter(self.bias.to(dtype))
        return linear

    @classmethod
    def of(cls, linear: nn.Linear, bits: PackedBits) -> "PackedLinear":
        """A linear layer, packed."""
        weight, scale = pack(linear.weight.detach(), bits)
        packed = cls(linear.in_features, linear.out_features, False, bits)
        packed.weight.data, packed.weight_scale = weight, scale
        packed.bias = linear.bias
        return packed

    def extra_repr(self) -> str:
        """What the layer is, for printing."""
        return f"{super().extra_repr()}, bits={self.bits}"


@register_quantization_config(METHOD)
@dataclass
class PackedConfig(QuantizationConfigMixin):
    """What `quantization_config` in config.json says of such a model."""

    def __init__(self, bits: PackedBits, **_: Any) -> None:
        self.quant_method = METHOD  # type: ignore[assignment]
        self.bits = bits


@register_quantizer(METHOD)
class PackedQuantizer(HfQuantizer):  # type: ignore[misc]
    """Lets transformers load, save and tune such a model."""

    quantization_config: PackedConfig

    def _process_model_before_weight_loading(self, model: Any, **_: Any) -> None:
        put_packed_linears(model, self.quantization_config.bits)

    def is_serializable(self) -> bool:
        """Its state is the checkpoint's."""
        return True

    @property
    def is_trainable(self) -> bool:
        """By adapters, through which gradients flow."""
        return True


def put_packed_linears(model: PreTrainedModel, bits: PackedBits) -> None:
    """Put empty packed layers in place of all linear ones but the head, and mark the model."""
    for name, module in _linears(model):
        with torch.device(module.weight.device):
            packed = PackedLinear(
                module.in_features,
                module.out_features,
                module.bias is not None,
                bits,
                module.weight.dtype,
            )
        model.set_submodule(name, packed)
    _mark(model, bits)


def pack_linears(model: PreTrainedModel, bits: PackedBits) -> None:
    """Pack a model's own linear layers but the head, in place."""
    for name, module in _linears(model):
        model.set_submodule(name, PackedLinear.of(module, bits))
    _mark(model, bits)


def unpack_linears(model: PreTrainedModel, dtype: torch.dtype) -> None:
    """Take all packed layers of a model apart, in place."""
    for name, module in list(model.named_modules()):
        if isinstance(module, PackedLinear):
            model.set_submodule(name, module.dequantized(dtype))
    if is_packed(model):
        quantizer: Any = model.hf_quantizer
        quantizer.remove_quantization_config(model)


def is_packed(model: PreTrainedModel) -> bool:
    """Whether a model's layers are packed in this form."""
    return isinstance(getattr(model, "hf_quantizer", None), PackedQuantizer)


def _linears(model: PreTrainedModel) -> list[tuple[str, nn.Linear]]:
    head = model.get_output_embeddings()
    return [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and module is not head and f"{MODULE}." not in name
    ]


def _mark(model: PreTrainedModel, bits: PackedBits) -> None:
    config = PackedConfig(bits)
    flags: Any = model
    flags.hf_quantizer = PackedQuantizer(config)
    flags.quantization_method = METHOD
    flags.is_quantized = True
    model.config.quantization_config = config
