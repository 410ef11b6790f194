"""What a user edits in `src/config.py`, and which data sets a command means by it."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tuneglm.errors import DataError

DEFAULT_MODEL = "THUDM/chatglm-6b"
# whose commands these are
TOOL = "ChatGLM-Efficient-Tuning"
REGISTRY_FILE = "datasets_of_config.json"
# as the first versions named them → as dataset_info.json does
EARLIER_KEYS: dict[str, str] = {"filename": "file_name", "sha1": "file_sha1"}
DATA = "data"


@dataclass(frozen=True)
class House:
    """The two things that `src/config.py` says, and the folder that it is a part of.

    model      CHATGLM_REPO_NAME: a folder, or an id of the hub
    data_sets  DATASETS: name → entry, as in `dataset_info.json` or in the first versions
    root       the clone's folder, whose `data` is taken where the current one has none
    """

    model: str = DEFAULT_MODEL
    data_sets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    root: Path | None = None

    @property
    def is_edited(self) -> bool:
        """Whether somebody has named a model of their own."""
        return self.model != DEFAULT_MODEL

    def data_folder(self, named: str) -> str:
        """The folder of data that a command means."""
        beside = None if self.root is None else self.root / DATA
        if named != DATA or Path(DATA).is_dir() or beside is None or not beside.is_dir():
            return named
        return str(beside)


def write_registry(house: House, names: Sequence[str], folder: str) -> str | None:
    """The file in the data folder that says what `src/config.py` says; None where it says nothing.

    A run must be repeatable without that Python file: so its registry is written, as JSON.
    """
    if not set(names) & house.data_sets.keys():
        return None
    entries = {name: _entry(name, entry) for name, entry in house.data_sets.items()}
    file = Path(folder).expanduser() / REGISTRY_FILE
    text = json.dumps(entries, ensure_ascii=False, indent=2) + "\n"
    if file.is_file() and file.read_text(encoding="utf-8") == text:
        return str(file)
    from tuneglm.checkpoints import writable

    with writable(file.parent):
        # several processes may write it at once: each a whole one
        unfinished = file.with_suffix(f".{os.getpid()}")
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(file)
    return str(file)


def _entry(name: str, entry: Any) -> dict[str, Any]:
    if not isinstance(entry, Mapping):
        raise DataError(
            f"DATASETS in src/config.py gives `{name}` `{entry}`.",
            'write {"file_name": "my.json"}',
        )
    return {EARLIER_KEYS.get(str(key), str(key)): value for key, value in entry.items()}
