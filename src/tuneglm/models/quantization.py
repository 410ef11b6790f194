"""Weights in 8 or 4 bits by bitsandbytes: a model's linear layers but the head."""

from typing import Any

import torch
from torch import nn
from transformers import BitsAndBytesConfig, PreTrainedModel
from transformers.integrations import replace_with_bnb_linear
from transformers.quantizers import AutoHfQuantizer

from tuneglm.models.packed import PackedConfig
from tuneglm.models.precision import Bits, Placement


def quantization_config(bits: Bits, dtype: torch.dtype) -> BitsAndBytesConfig:
    """bitsandbytes' settings: nf4 with double quantisation, or int8."""
    if bits == 8:
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )


def is_quantized(model: PreTrainedModel) -> bool:
    """Whether a model's linear layers are packed in bits."""
    return getattr(model, "is_quantized", False)


def held_bits(model: PreTrainedModel) -> int | None:
    """The bits of a model's linear layers; None where they are whole, or packed by others."""
    settings: Any = model.config.quantization_config if is_quantized(model) else None
    if isinstance(settings, BitsAndBytesConfig):
        return 4 if settings.load_in_4bit else 8
    return settings.bits if isinstance(settings, PackedConfig) else None


def quantize_linears(model: PreTrainedModel, placement: Placement) -> frozenset[str]:
    """Put bitsandbytes' layers in place of the linear ones; the names of their weights."""
    if placement.bits is None:
        return frozenset()
    config = quantization_config(placement.bits, placement.dtype)
    head = next(
        name for name, module in model.named_modules() if module is model.get_output_embeddings()
    )
    quantizer = AutoHfQuantizer.from_config(config)
    replace_with_bnb_linear(model, modules_to_not_convert=[head], quantization_config=config)
    # what transformers and peft look at to know that the weights are packed
    model.hf_quantizer = quantizer
    model.config.quantization_config = config
    flags: Any = model
    flags.quantization_method = config.quant_method
    setattr(flags, f"is_loaded_in_{placement.bits}bit", True)
    flags.is_quantized = True
    return frozenset(
        f"{name}.weight" for name, module in model.named_modules() if _is_quantized(module)
    )


def keep_trainable(model: PreTrainedModel) -> None:
    """Let nothing be laid out anew for a processor's inference, as evaluation would do.

    bitsandbytes cannot train on 4-bit weights any more that it laid out so.
    """
    for module in model.modules():
        if _is_quantized(module):
            module.support_avx512bf16_for_cpu = False  # type: ignore[assignment]


def set_quantized_weight(
    model: PreTrainedModel, name: str, weight: torch.Tensor, device: torch.device
) -> None:
    """Pack one weight and put it into its layer."""
    module: Any = model.get_submodule(name.removesuffix(".weight"))
    kind = type(module.weight)
    settings = {**module.weight.__dict__, "requires_grad": False}
    module.weight = kind(weight.contiguous(), **settings).to(device)


def _is_quantized(module: nn.Module) -> bool:
    import bitsandbytes as bnb

    return isinstance(module, bnb.nn.Linear4bit | bnb.nn.Linear8bitLt)
