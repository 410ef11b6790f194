"""What is exported: a model's files, and the adapters that are to be merged into them."""

from dataclasses import dataclass
from pathlib import Path

import torch

from tuneglm.errors import ModelError
from tuneglm.export.wanted import Export
from tuneglm.models.adapters import is_adapter
from tuneglm.models.bases import refuse_other_bases
from tuneglm.models.chain import kind_of, with_earlier
from tuneglm.models.family import Family, Layout
from tuneglm.models.loading import (
    adapter_folder,
    base_folder,
    local_folder,
    published_layout,
    refuse_twice,
    resolved_family,
)
from tuneglm.models.packed import packed_bits
from tuneglm.models.precision import torch_dtype
from tuneglm.models.prefix import MODULE
from tuneglm.models.weights import read_json, weight_names


@dataclass(frozen=True)
class Source:
    """Where the weights come from, and what form they are to take.

    given     the folders that were named
    base      the model
    adapters  in the order in which they are merged
    layout    the published names to write, or None for transformers'
    dtype     type of the weights that are written
    """

    given: tuple[Path, ...]
    base: Path
    adapters: tuple[Path, ...]
    family: Family
    layout: Layout | None
    dtype: torch.dtype

    @property
    def kinds(self) -> set[str]:
        """Of what kinds the adapters are."""
        return {kind_of(folder) for folder, _ in with_earlier(self.adapters)}

    @property
    def has_soft_prompt(self) -> bool:
        """Whether one of them is a soft prompt."""
        return "prompt" in self.kinds

    @property
    def sees_prefix(self) -> bool:
        """Whether there is more than weights: a prefix, a soft prompt."""
        if {"prompt", "p_tuning"} & self.kinds:
            return True
        return any(f"{MODULE}." in name for name in weight_names(self.base))


def source_of(wanted: Export) -> Source:
    """Raises ModelError where the parts do not go together, or have no such form."""
    given = tuple(local_folder(path) for path in (wanted.path, *wanted.adapters))
    first = given[0]
    family = resolved_family(first, wanted.family)
    adapters = [adapter_folder(folder) for folder in given[1:]]
    base = first
    if is_adapter(first):
        adapters.insert(0, first)
        base = base_folder(first)
    refuse_twice(adapters)
    refuse_other_bases(adapters)
    layout = None if wanted.layout == "native" else family.layout
    if wanted.layout == "published" and layout is None:
        raise ModelError(
            f"The family `{family.name}` has no published layout of its own.",
            "leave --layout out, or say --layout native",
        )
    dtype = torch_dtype(_dtype(wanted, base), torch.device("cpu"))
    return Source(given, base, tuple(adapters), family, layout, dtype)


def is_in_bits(source: Source) -> bool:
    """Whether another library's bits are in the files, which it alone takes apart."""
    config = read_json(source.base / "config.json")
    is_published = published_layout(source.family, source.base) is not None
    return bool(config.get("quantization_config")) and not (is_published or packed_bits(config))


def _dtype(wanted: Export, base: Path) -> str:
    if wanted.dtype is not None:
        return wanted.dtype
    if wanted.bits is not None:
        return "float16"
    config = read_json(base / "config.json")
    return str(config.get("torch_dtype") or config.get("dtype") or "float16")
