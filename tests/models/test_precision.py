"""In which type a device computes, and what bits a model can be held in."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.methods.cells import GOLDEN, load
from tuneglm.errors import ModelError
from tuneglm.models.packed import bits_to_pack
from tuneglm.models.precision import Capability, frozen_type, torch_dtype

OLD_GPU, NEW_GPU = Capability("cuda", bfloat16=False), Capability("cuda", bfloat16=True)
OLD_CPU, NEW_CPU = Capability("cpu", bfloat16=False), Capability("cpu", bfloat16=True)
APPLE = Capability("mps", bfloat16=False)
HERE = torch.device("cpu")


@pytest.mark.parametrize(
    ("capability", "dtype"),
    [
        (NEW_GPU, torch.bfloat16),
        (OLD_GPU, torch.float16),
        (NEW_CPU, torch.bfloat16),
        (OLD_CPU, torch.float32),
        (APPLE, torch.float32),
    ],
)
def test_a_device_computes_in_what_it_has(
    capability: Capability, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Capability, "of", classmethod(lambda _, __: capability))
    assert torch_dtype("auto", HERE) == torch_dtype(None, HERE) == dtype


@pytest.mark.parametrize(
    ("capability", "in_float16", "dtype"),
    [
        (OLD_GPU, True, torch.float16),
        # whoever says training.fp16=false on such a card has float32
        (OLD_GPU, False, torch.float32),
        (OLD_CPU, True, torch.float16),
        (NEW_GPU, False, torch.bfloat16),
    ],
)
def test_frozen_weights_follow_what_a_run_computes_in(
    capability: Capability,
    in_float16: bool,
    dtype: torch.dtype,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Capability, "of", classmethod(lambda _, __: capability))
    assert frozen_type("auto", HERE, in_float16) == dtype
    assert frozen_type("bfloat16", HERE, in_float16) == torch.bfloat16


WHOLE, INT4 = GOLDEN / "v1" / "base", GOLDEN / "v1" / "int4"


@pytest.mark.parametrize(
    ("folder", "bits", "packing"),
    [
        (WHOLE, None, None),
        (WHOLE, 16, None),
        (WHOLE, 8, 8),
        (WHOLE, 4, 4),
        # a packed checkpoint's bits are what they are
        (INT4, None, None),
        (INT4, 4, None),
        (INT4, "auto", None),
    ],
)
def test_what_bitsandbytes_is_to_pack(folder: Path, bits: Any, packing: int | None) -> None:
    assert bits_to_pack(folder, bits) == packing


@pytest.mark.parametrize("bits", [16, 8])
def test_packed_files_have_no_other_bits(bits: Any) -> None:
    with pytest.raises(ModelError, match=f"packed in 4 bits already; {bits} bits are for"):
        load(INT4, "chatglm", bits=bits)
