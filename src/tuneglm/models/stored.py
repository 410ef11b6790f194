"""A model's weights as they lie on the disk: each read alone, when it is asked for.

Names are ours whatever the files call them; a fused weight gives its parts, a packed one
is taken apart. So a model of any size is gone through in the memory of some rows.
"""

from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from tuneglm.errors import ModelError
from tuneglm.models.family import Family
from tuneglm.models.layout import native_names
from tuneglm.models.loading import published_layout
from tuneglm.models.packed import SCALE, packed_bits, unpack
from tuneglm.models.prefix import MODULE
from tuneglm.models.skeleton import config_of
from tuneglm.models.weights import mapped, read_json, weight_files

SAFE = ".safetensors"


class StoredWeights:
    """The weights of a model folder in published or native layout.

    names   of whole weights, as transformers' class has them
    prefix  tensors of a prefix that lies with the model, under short names
    """

    def __init__(self, folder: Path, family: Family) -> None:
        self.config = config_of(folder, family)
        self._layout = published_layout(family, folder)
        self._bits = packed_bits(read_json(folder / "config.json"))
        self._files = _Files(folder)
        self.prefix: dict[str, torch.Tensor] = {}
        # our name → (the file's key, which of its parts)
        self._places: dict[str, tuple[str, int]] = {}
        for key in self._files.places:
            self._place(key)
        self.names = [name for name in self._places if not name.endswith(f".{SCALE}")]

    def shape(self, name: str) -> torch.Size:
        """Of the whole weight."""
        stored = self._part(name)
        if self._is_packed(stored):
            return torch.Size((stored.shape[0], stored.shape[1] * 8 // (self._bits or 8)))
        return stored.shape

    def rows(self, name: str, rows: slice) -> torch.Tensor:
        """Rows of a whole weight in the type of the file, of a packed one in float32.

        They may be mapped from the disk: use them before others are asked for.
        """
        stored = self._part(name)
        if not stored.ndim:
            return stored
        if not self._is_packed(stored):
            return stored[rows]
        module, _, _ = name.rpartition(".")
        packed, scale = stored[rows].clone(), self._part(f"{module}.{SCALE}")[rows].clone()
        return unpack(packed, scale, self._bits or 8, torch.float32)

    def _is_packed(self, stored: torch.Tensor) -> bool:
        return stored.dtype == torch.int8 and self._bits is not None

    def _place(self, key: str) -> None:
        """Find out which of our weights a key of the files holds."""
        _, is_prefix, short = key.rpartition(f"{MODULE}.")
        if is_prefix:
            self.prefix[short] = self._files.read(key).clone()
            return
        module, _, leaf = key.rpartition(".")
        names: tuple[str, ...] = (module,)
        if self._layout is not None:
            if key.endswith(self._layout.ignored):
                return
            names = native_names(self._layout, module)
            if not names:
                raise ModelError(
                    f"`{key}` is no weight of the model that config.json describes.",
                    "the two are of different models: download the folder again, or say which "
                    "family it is with --family NAME",
                )
        for part, name in enumerate(names):
            self._places[f"{name}.{leaf}" if name else leaf] = (key, part)

    def _part(self, name: str) -> torch.Tensor:
        key, part = self._places[name]
        stored = self._files.read(key)
        if self._layout is None:
            return stored
        stored = self._layout.read(self.config, key, stored)
        module = key.rpartition(".")[0]
        if len(native_names(self._layout, module)) == 1:
            return stored
        try:
            return stored.split(self._layout.rows(self.config))[part]
        except RuntimeError:
            raise ModelError(
                f"`{key}` has the shape {tuple(stored.shape)}, but config.json splits it into "
                f"{self._layout.rows(self.config)} rows.",
                "config.json and the weights are of different models",
            ) from None


class _Files:
    """The weight files of a folder, mapped; pages that were read are given back."""

    def __init__(self, folder: Path) -> None:
        self.places: dict[str, Path] = {}
        for file in weight_files(folder):
            self.places |= dict.fromkeys(mapped(file), file)
        self._open: Any = None
        self._file: Path | None = None

    def read(self, key: str) -> torch.Tensor:
        """A tensor, mapped anew: what was read of the file before is given back."""
        file = self.places[key]
        tensor: torch.Tensor
        if file.suffix == SAFE:
            with safe_open(file, framework="pt") as opened:
                tensor = opened.get_tensor(key)
            return tensor
        if file != self._file:
            # an old pickle is read as a whole
            self._open = None
            self._open, self._file = mapped(file), file
        tensor = self._open[key]
        return tensor
