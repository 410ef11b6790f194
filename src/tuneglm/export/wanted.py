"""What an export is asked for."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tuneglm.models.packed import PackedBits
from tuneglm.models.published import LARGEST_FILE

Layout = Literal["published", "native"]
Format = Literal["safetensors", "gguf"]


@dataclass(frozen=True)
class Export:
    """What to write, and how.

    path        model folder, hub id, or output folder of a run
    output      folder to write; must not hold anything
    layout      published: the family's own names, which its code and converters read;
                native: transformers' names; None: published where the family has a layout
    bits        4 or 8: the official packed form, for the published layout or our own loader
    dtype       type of the weights; None: that of the model's files, float16 where they are packed
    adapters    further trained parts, merged as well
    format      safetensors, or gguf for llama.cpp: with 8 bits Q8_0
    adapter_only
                the adapter alone, not merged: in published layout on the fused modules
    shard_size  bytes of a weight file at most
    check       load the result again, and compare it with its source
    """

    path: str
    output: Path
    layout: Layout | None = None
    bits: PackedBits | None = None
    dtype: str | None = None
    family: str | None = None
    adapters: tuple[str, ...] = ()
    format: Format = "safetensors"
    adapter_only: bool = False
    shard_size: int = LARGEST_FILE
    check: bool = True
