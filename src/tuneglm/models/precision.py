"""Where a model computes, and in which type: chosen by what the device can do."""

from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

import torch

from tuneglm.errors import ModelError

Bits = Literal[4, 8]
# 16: not packed
Width = Literal[16, 8, 4]

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


def checked_bits(bits: Any) -> Width | None:
    """`bits` if it is a width that is known."""
    if bits not in (None, *get_args(Width)):
        raise ModelError(f"A model cannot be loaded in `{bits}` bits.", "known: 16, 8, 4, or none")
    return cast("Width | None", bits)


@dataclass(frozen=True)
class Capability:
    """What a device can do.

    kind      cuda, mps or cpu
    bfloat16  whether it has instructions for it, not merely accepts the type
    """

    kind: str
    bfloat16: bool

    @classmethod
    def of(cls, device: torch.device) -> "Capability":
        """Those of a device that is here."""
        native = False
        if device.type == "cuda":
            native = torch.cuda.is_bf16_supported(including_emulation=False)
        elif device.type == "cpu":
            native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
        return cls(device.type, native)

    @property
    def computed_in(self) -> torch.dtype:
        """The quickest type that is safe: float16 (see float16.py) on GPUs before 2020."""
        if self.bfloat16:
            return torch.bfloat16
        return torch.float16 if self.kind == "cuda" else torch.float32


def torch_dtype(dtype: str | torch.dtype | None, device: torch.device) -> torch.dtype:
    """A name → the type; `auto` and None take what the device computes best in."""
    if isinstance(dtype, torch.dtype):
        return dtype
    if dtype is None or dtype == "auto":
        return Capability.of(device).computed_in
    if dtype not in DTYPES:
        raise ModelError(f"There is no dtype `{dtype}`.", f"known: auto, {', '.join(DTYPES)}")
    return DTYPES[dtype]


def frozen_type(dtype: str, device: torch.device, in_float16: bool) -> torch.dtype:
    """A name → the type of a run's frozen weights; `auto` follows what the run computes in."""
    if dtype != "auto":
        return torch_dtype(dtype, device)
    if in_float16:
        return torch.float16
    native = Capability.of(device).computed_in
    return torch.float32 if native == torch.float16 else native
