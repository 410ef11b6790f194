"""Where a model computes, and in which type: chosen by what the device can do."""

from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

import torch

from tuneglm.errors import ModelError

Bits = Literal[4, 8]

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Placement:
    """How a model is held: type of its weights, device, quantisation, attention kernel."""

    dtype: torch.dtype
    device: torch.device
    bits: Bits | None = None
    attention: str | None = None

    @property
    def model_arguments(self) -> dict[str, Any]:
        """What transformers' `from_config` and `from_pretrained` take of it."""
        attention = {} if self.attention is None else {"attn_implementation": self.attention}
        return {"dtype": self.dtype, **attention}


def best_device() -> torch.device:
    """A GPU if there is one, else an Apple GPU, else the processor."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def device_named(device: str | torch.device | None) -> torch.device:
    """The device of that name, which must be there; None is the best one."""
    if device is None:
        return best_device()
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise ModelError(
            f"There is no device `{device}`.", "known: cuda, cuda:1, mps, cpu"
        ) from None
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there.get(chosen.type, True):
        raise ModelError(
            f"This machine has no device `{device}` that PyTorch can use.",
            "leave the device out, or install a PyTorch that is built for it",
        )
    # of several processes accelerate's is cpu:1, and what is moved there is no Parameter any more
    return torch.device("cpu") if chosen.type == "cpu" else chosen


def checked_bits(bits: Any) -> Bits | None:
    """`bits` if it is a width that is known."""
    if bits not in (None, *get_args(Bits)):
        raise ModelError(f"A model cannot be loaded in `{bits}` bits.", "known: 4, 8, or none")
    return cast("Bits | None", bits)


def computes_bfloat16(device: torch.device) -> bool:
    """Whether the device has instructions for bfloat16, not merely accepts the type."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return False


def torch_dtype(dtype: str | torch.dtype | None, device: torch.device) -> torch.dtype:
    """A name → the type; `auto` and None take bfloat16 where it is native, else float32."""
    if isinstance(dtype, torch.dtype):
        return dtype
    if dtype is None or dtype == "auto":
        return torch.bfloat16 if computes_bfloat16(device) else torch.float32
    if dtype not in DTYPES:
        raise ModelError(f"There is no dtype `{dtype}`.", f"known: auto, {', '.join(DTYPES)}")
    return DTYPES[dtype]
