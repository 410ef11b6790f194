"""Reading the files of a model folder, without executing anything in them."""

import json
import pickle
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from tuneglm.errors import ModelError

INDEX_FILES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
SINGLE_FILES = ("model.safetensors", "pytorch_model.bin")
MAPPED_AT_ONCE = 16 * 2**20
LOOKED_AT = 2**20  # bytes at either end of a file
GIT_LFS = b"version https://git-lfs"


def weights_fingerprint(folder: Path) -> str:
    """Tells a model's files from others with the same names: sizes, beginnings and ends."""
    digest = blake2b(digest_size=8)
    for path in weight_files(folder):
        size = path.stat().st_size
        digest.update(f"{path.name} {size}".encode())
        with path.open("rb") as file:
            for place in (0, max(0, size - LOOKED_AT)):
                file.seek(place)
                digest.update(file.read(LOOKED_AT))
    return digest.hexdigest()


def weight_files(folder: Path) -> list[Path]:
    """The shards of a model folder in order; safetensors is taken before `.bin`.

    Raises ModelError when there is none, or one that the index names is missing.
    """
    for index_name, single_name in zip(INDEX_FILES, SINGLE_FILES, strict=True):
        if (folder / index_name).is_file():
            return _indexed_files(folder / index_name)
        if (folder / single_name).is_file():
            return [folder / single_name]
    shards = [*folder.glob("*-of-*.safetensors"), *folder.glob("*-of-*.bin")]
    if shards:
        raise ModelError(
            f"`{folder}` holds {len(shards)} shards, but not the index that names them all.",
            f"finish the download: `{INDEX_FILES[0]}` or `{INDEX_FILES[1]}` is missing",
        )
    raise ModelError(
        f"`{folder}` holds no weights.",
        f"a model folder has `{SINGLE_FILES[0]}`, or shards with `{INDEX_FILES[0]}` "
        f"(or the same as `{SINGLE_FILES[1]}`)",
    )


def weight_names(folder: Path) -> list[str]:
    """Names of all weights of a model folder; of shards, from their index."""
    for name in INDEX_FILES:
        if (folder / name).is_file():
            return list(_weight_map(folder / name))
    return [name for file in weight_files(folder) for name, _ in read_tensors(file)]


def read_tensors(path: Path) -> Iterator[tuple[str, torch.Tensor]]:
    """(name, tensor) of one weight file, mapped from disk: copy what you keep.

    The file is mapped anew after every `MAPPED_AT_ONCE` bytes, and what was read
    before is given back: memory holds the copies and that much. Pickled files are
    read with `weights_only=True`: they hold tensors or are refused.
    """
    tensors = mapped(path)
    read = 0
    for name in list(tensors):
        if read > MAPPED_AT_ONCE:
            tensors, read = mapped(path), 0
        tensor = tensors.pop(name)
        read += tensor.nbytes
        yield name, tensor


def mapped(path: Path) -> dict[str, torch.Tensor]:
    """All tensors of a file, none of them read yet."""
    _refuse_pointer(path)
    if path.suffix != ".safetensors":
        return _load_pickle(path)
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except SafetensorError as error:
        raise _broken(path, error) from None


def read_json(path: Path, default: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
    """An object from a JSON file; `default` where there is no file, if one is given."""
    if not path.is_file():
        if default is not None:
            return default
        raise ModelError(
            f"`{path.parent}` holds no model: `{path.name}` is missing.",
            "a model folder has config.json, weights and tokenizer files",
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise ModelError(f"`{path}` is not readable JSON.", "download it again") from None
    if not isinstance(content, dict):
        raise ModelError(f"`{path}` holds no JSON object.", "download it again")
    return content


def _load_pickle(path: Path) -> dict[str, torch.Tensor]:
    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True, mmap=_is_zip(path))
    except (
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        ValueError,
        LookupError,
        AttributeError,
        TypeError,
        OSError,
    ) as error:
        # the unpickler's own complaints about what is no pickle are of every kind
        raise _broken(path, error) from None
    if not isinstance(tensors, dict) or not all(map(torch.is_tensor, tensors.values())):
        raise ModelError(f"`{path}` holds no table of weights.", "download it again")
    return tensors


def _is_zip(path: Path) -> bool:
    """Whether torch wrote the file in its present format, which can be mapped."""
    with path.open("rb") as file:
        return file.read(2) == b"PK"


def _indexed_files(index: Path) -> list[Path]:
    files = [index.parent / name for name in sorted(set(_weight_map(index).values()))]
    for file in files:
        if not file.is_file():
            present = sum(other.is_file() for other in files)
            raise ModelError(
                f"`{file}` is missing: {present} of {len(files)} shards are there.",
                "finish the download; the index names every shard",
            )
    return files


def _weight_map(index: Path) -> dict[str, str]:
    """Name of a weight → its file."""
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not all(
        isinstance(name, str) for name in weight_map.values()
    ):
        raise ModelError(f"`{index}` is not an index of weights.", "download it again")
    return weight_map


def _refuse_pointer(path: Path) -> None:
    with path.open("rb") as file:
        if file.read(len(GIT_LFS)) == GIT_LFS:
            raise ModelError(
                f"`{path}` is a Git LFS pointer, not weights.",
                "run `git lfs pull` in that folder, or download the file itself",
            )


def _broken(path: Path, error: Exception) -> ModelError:
    reason = str(error).split("\n")[0]
    # torch's own advice would execute what is in the file
    told = f": {reason}" if reason and "weights_only" not in reason else ""
    return ModelError(
        f"`{path}` cannot be read{told}.", "the file is cut or damaged; download it again"
    )


def input_weight(model: Any) -> torch.Tensor:
    """The weight of a model's embeddings, (vocabulary, hidden)."""
    weight: torch.Tensor = model.get_input_embeddings().weight
    return weight


def states_type(model: Any) -> torch.dtype:
    """The type of the states that a model's layers hand on: see float16.py for one that ends."""
    held = input_weight(model).dtype
    return torch.float32 if held == torch.float16 else held
