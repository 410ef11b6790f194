"""What was filled in → a tree of what differs from the defaults → the run file.

Nothing here knows of a browser, and nothing of what an option does.
"""

from collections.abc import Mapping
from typing import Any

import yaml

from tuneglm.errors import ConfigError
from tuneglm.trainer_options import trainer_options
from tuneglm.web.fields import METHODS, SECTIONS, Field, method_fields, read_value, section_fields


def filled(
    fields: Mapping[str, Field], given: Mapping[str, Any], tree: dict[str, Any]
) -> dict[str, Any]:
    """`tree` and what of the form differs from the defaults; raises ConfigError."""
    for key, field in fields.items():
        value = field.value(given.get(key))
        default = list(field.default) if field.kind == "list" else field.default
        if value is not None and value != default:
            _put(tree, key, value)
    return tree


def further(text: str, tree: dict[str, Any], *, is_open: bool) -> dict[str, Any]:
    """`tree` and settings that were written line by line, `section.key=value`.

    is_open  whether settings that name a path, a hub or a program may be among them

    Raises ConfigError for a line that is none, and for a setting that is not allowed.
    """
    for line in filter(None, map(str.strip, text.splitlines())):
        key, equals, written = line.partition("=")
        key = key.strip()
        if not equals or not key:
            raise ConfigError(f"Cannot read `{line}`.", "write section.key=value, one a line")
        if key in ("training.output_dir", "model.path", "data.dir"):
            raise ConfigError(f"`{key}` is decided by the page.", "take that line out")
        if not is_open and not _is_harmless(key):
            raise ConfigError(
                f"`{key}` cannot be set here.", "it names a path, or what is outside of the page"
            )
        _put(tree, key, read_value(key, written))
    return tree


def as_yaml(tree: Mapping[str, Any]) -> str:
    """The run file."""
    return yaml.safe_dump(dict(tree), allow_unicode=True, sort_keys=False)


def _put(tree: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.split(".")
    for parent in parents:
        inner = tree.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"`{parent}` is a value, not a section, in `{key}`.")
        tree = inner
    tree[last] = value


def _is_harmless(key: str) -> bool:
    """Whether a setting holds a number, a switch or one of a few words, and stays on the page."""
    section, _, name = key.rpartition(".")
    if section == "training":
        kinds = {kind.strip() for kind in trainer_options().get(name, "str").split("|")}
        return kinds <= {"bool", "int", "float", "None"} and not name.startswith("push_to")
    fields = {field.key for part in SECTIONS for field in section_fields(part)}
    fields |= {field.key for method in METHODS for field in method_fields(method)}
    return key in fields
