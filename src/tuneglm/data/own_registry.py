"""Registries that people write: YAML as ours, or a `dataset_info.json` as other tools read it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from tuneglm.data.columns import nearest
from tuneglm.data.dataset_info import FOREIGN_KEYS, foreign_set
from tuneglm.data.json_faults import told_of
from tuneglm.data.registered_set import RegisteredSet
from tuneglm.errors import DataError
from tuneglm.run_file import read_yaml
from tuneglm.yaml_faults import yaml_fault

# what only we fill in
_INNER = ("name", "only", "never", "refusal", "notes", "origin")


def read_registry(path: Path, ours: Mapping[str, RegisteredSet]) -> dict[str, RegisteredSet]:
    """Name → entry; raises DataError where the file is no registry."""
    entries = _read(path)
    if not isinstance(entries, dict) or not all(isinstance(one, dict) for one in entries.values()):
        raise DataError(
            f"`{path}` is no registry.",
            "expected names of data sets, each with its fields: `my_set: {files: my.json}`",
        )
    return {str(name): _set(str(name), entry, path, ours) for name, entry in entries.items()}


def _read(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8-sig")
        return json.loads(text) if path.suffix == ".json" else read_yaml(text)
    except OSError as error:
        raise DataError(
            f"The registry `{path}` cannot be read: {error.strerror}.", "data.registry names it"
        ) from None
    except (json.JSONDecodeError, yaml.YAMLError) as error:
        told, remedy = (
            told_of(error) if isinstance(error, json.JSONDecodeError) else yaml_fault(error, text)
        )
        raise DataError(f"The registry `{path}` cannot be read: {told}.", remedy) from None
    except UnicodeDecodeError:
        raise DataError(f"The registry `{path}` is not in UTF-8.", "save it in UTF-8") from None


def _set(
    name: str, entry: dict[str, Any], path: Path, ours: Mapping[str, RegisteredSet]
) -> RegisteredSet:
    if not FOREIGN_KEYS.isdisjoint(entry):
        return foreign_set(name, entry, path, ours)
    known = [field for field in RegisteredSet.model_fields if field not in _INNER]
    for key in entry:
        if key not in known:
            near = nearest(str(key), known)
            hint = f"did you mean `{near}`?" if near else f"known: {', '.join(known)}"
            raise DataError(f"`{path}` gives `{name}` a field `{key}`, which is none.", hint)
    if "files" not in entry and "huggingface" not in entry and "modelscope" not in entry:
        raise DataError(f"`{path}` does not say which files `{name}` is.", "write `files: my.json`")
    try:
        return RegisteredSet(**{"restriction": "none", **entry, "name": name, "origin": path})
    except ValidationError as error:
        problem = error.errors()[0]
        field = ".".join(str(part) for part in problem["loc"])
        raise DataError(
            f"In `{path}`, `{field}` of `{name}` cannot be `{problem['input']}`: "
            f"{problem['msg'].lower()}."
        ) from None
