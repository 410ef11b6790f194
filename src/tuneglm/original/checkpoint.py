"""What a checkpoint of the old tool says of how it was trained.

`finetuning_args.json`, or before that `finetuning_args.bin`: a pickled object, of which the
plain values are read and nothing is executed.
"""

import io
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tuneglm.errors import ModelError
from tuneglm.models.weights import read_json

JSON_FILE, PICKLE_FILE = "finetuning_args.json", "finetuning_args.bin"
ADAPTER_FILE = "adapter_config.json"
# adapter_config.json → the flag
ADAPTER_KEYS = {"r": "lora_rank", "lora_alpha": "lora_alpha", "lora_dropout": "lora_dropout"}
SIMPLE = (str, int, float, bool)
# what reading nonsense, or a pickle that wants to call something, ends in
UNREADABLE = (
    OSError,
    StopIteration,
    EOFError,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    TypeError,
    ValueError,
    LookupError,
    AttributeError,
)


def method_arguments(folder: Path) -> dict[str, Any]:
    """Flag → value, of the method that trained what a folder holds; empty where it does not say."""
    if (folder / ADAPTER_FILE).is_file():
        return _adapter_arguments(read_json(folder / ADAPTER_FILE))
    if (folder / JSON_FILE).is_file():
        return _plain(read_json(folder / JSON_FILE))
    if (folder / PICKLE_FILE).is_file():
        return _plain(read_pickled(folder / PICKLE_FILE))
    return {}


def base_named(folder: Path) -> str:
    """The model that a checkpoint says it was trained on; "" where it says none."""
    for name, key in ((ADAPTER_FILE, "base_model_name_or_path"), ("config.json", "_name_or_path")):
        if (folder / name).is_file():
            return str(read_json(folder / name).get(key) or "")
    return ""


def read_pickled(path: Path) -> dict[str, Any]:
    """The attributes of the one object in a file of torch.save, none of whose code is run."""
    try:
        content = path.read_bytes()
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                inner = next(name for name in archive.namelist() if name.endswith("data.pkl"))
                content = archive.read(inner)
        held = _Unpickler(io.BytesIO(content)).load()
    except UNREADABLE:
        raise ModelError(
            f"`{path}` is not a file of arguments that can be read.",
            "move it away, and give the arguments of the method by hand",
        ) from None
    return dict(held.values) if isinstance(held, _Arguments) else {}


def _adapter_arguments(config: Mapping[str, Any]) -> dict[str, Any]:
    if config.get("peft_type") != "LORA":
        return {}
    targets = config.get("target_modules") or ()
    found = {ours: config[theirs] for theirs, ours in ADAPTER_KEYS.items() if theirs in config}
    named = [targets] if isinstance(targets, str) else sorted(targets)
    return {"finetuning_type": "lora", **found, "lora_target": ",".join(named)}


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if isinstance(value, SIMPLE)}


class _Arguments:
    """In place of whatever class the object was of."""

    def __init__(self, *_: Any) -> None:
        self.values: dict[str, Any] = {}

    def __setstate__(self, state: Any) -> None:
        self.values = state if isinstance(state, dict) else {}


class _Unpickler(pickle.Unpickler):
    """Knows no class but one that holds values."""

    def find_class(self, module: str, name: str) -> Any:
        """Every name is that class: none is imported."""
        return _Arguments
