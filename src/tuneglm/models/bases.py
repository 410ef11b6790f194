"""Which model an adapter was trained on: its name, and what its weights are.

A folder's name says little: `model` and `checkpoint-100` are the names of many. So a
result carries a fingerprint of the weights it was trained on.
"""

import functools
import json
import logging
from collections.abc import Sequence
from hashlib import blake2b
from itertools import combinations
from pathlib import Path

from tuneglm.errors import ModelError
from tuneglm.models.adapters import base_key, read_base_path
from tuneglm.models.weights import read_json, weight_files

BASE_FILE = "base_weights.json"
KEY = "fingerprint"
# of each file, from its beginning (where the names and shapes stand), middle and end
SAMPLE = 2**16

log = logging.getLogger(__name__)


def fingerprint(folder: Path) -> str:
    """A digest of a model's weights, from samples of its files: it takes no time."""
    return digest_of_samples(weight_files(folder))


def digest_of_samples(files: Sequence[Path]) -> str:
    """A digest of files, from samples of each."""
    digest = blake2b(digest_size=16)
    for path in files:
        size = path.stat().st_size
        digest.update(size.to_bytes(8, "little"))
        with path.open("rb") as file:
            for place in (0, size // 2, max(0, size - SAMPLE)):
                file.seek(place)
                digest.update(file.read(SAMPLE))
    return digest.hexdigest()


def write_base(folder: Path) -> None:
    """Say in a result on which weights it was trained, where they lie in a folder."""
    base = Path(read_base_path(folder))
    if base.is_dir():
        text = json.dumps({KEY: fingerprint(base)})
        (folder / BASE_FILE).write_text(text + "\n", encoding="utf-8")


def refuse_other_bases(folders: Sequence[Path]) -> None:
    """Raises ModelError where two adapters were trained on different models."""
    for first, second in combinations(folders, 2):
        if _differ(first, second):
            one, other = _name(first), _name(second)
            if Path(one).name.lower() != Path(other).name.lower():
                one, other = Path(one).name, Path(other).name
            raise ModelError(
                f"The adapters `{first}` and `{second}` are of different models: `{one}` and "
                f"`{other}`.",
                "an adapter fits the model that it was trained on",
            )


def doubt_bases(folders: Sequence[Path], model: str | Path) -> None:
    """Say of adapters that they were trained on other weights than a model's.

    That may be meant: the same model in packed form has other weights, too. Of one that does
    not fit at all that is said alone: so this comes after it was added.
    """
    known = {folder: mark for folder in folders if (mark := _fingerprint_of(folder))}
    if not known or not Path(model).is_dir():
        return
    own = fingerprint(Path(model))
    for folder, mark in known.items():
        if mark != own:
            _tell_doubt(str(folder), str(model))


@functools.cache
def _tell_doubt(folder: str, model: str) -> None:
    """Once, however often the two are loaded."""
    log.info(
        "Note: `%s` was trained on other weights than those in `%s`; if that is not the "
        "same model in another form, its answers will be nonsense.",
        *(folder, model),
    )


def _differ(first: Path, second: Path) -> bool:
    """By their weights where both say which; else by their models' names."""
    weights = (_fingerprint_of(first), _fingerprint_of(second))
    if all(weights):
        return weights[0] != weights[1]
    # a model's folder and its id on a hub end alike
    names = {Path(name).name.lower() for name in (_name(first), _name(second)) if name}
    return len(names) > 1


def _name(folder: Path) -> str:
    file, key = base_key(folder)
    return str(read_json(file, {}).get(key) or "")


def _fingerprint_of(folder: Path) -> str:
    return str(read_json(folder / BASE_FILE, {}).get(KEY) or "")
