"""Adapters that stand on others: which came before one, and of what kind it is.

A run that starts from adapters merges them into its model and trains its own part
on that. Its folder names them in `earlier_adapters.json`; whoever loads it merges
them first, so that one path is enough.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from tuneglm.errors import ModelError
from tuneglm.models.adapters import CONFIG_FILE
from tuneglm.models.partial import read_partial
from tuneglm.models.prefix import MODULE
from tuneglm.models.soft_prompt import PEFT_TYPE
from tuneglm.models.weights import read_json

CHAIN_FILE = "earlier_adapters.json"

Kind = Literal["lora", "freeze", "p_tuning", "prompt"]


def kind_of(folder: Path) -> Kind:
    """The method that trained what a folder of trained parts holds."""
    if (folder / CONFIG_FILE).is_file():
        stored = read_json(folder / CONFIG_FILE).get("peft_type")
        return "prompt" if stored == PEFT_TYPE else "lora"
    return "p_tuning" if all(f"{MODULE}." in name for name in read_partial(folder)) else "freeze"


def with_earlier(folders: Sequence[Path]) -> Iterator[tuple[Path, bool]]:
    """Each folder once, those before it that it stands on; the flag: merge these."""
    seen: set[Path] = set()
    for folder in folders:
        for path in read_json(folder / CHAIN_FILE, {}).get("adapters", ()):
            before = Path(path) if Path(path).is_absolute() else folder / path
            if not before.is_dir():
                raise ModelError(
                    f"`{folder}` was trained on top of `{before}`, which is not there any more.",
                    f"put it back, or write its new place into {folder / CHAIN_FILE}",
                )
            if before.resolve() not in seen:
                seen.add(before.resolve())
                yield before, True
        if folder.resolve() not in seen:
            seen.add(folder.resolve())
            yield folder, False


def write_chain(folder: Path, adapters: Sequence[Path]) -> None:
    """Name, in a result, what was merged before it was trained."""
    if adapters:
        text = json.dumps({"adapters": [str(path.resolve()) for path in adapters]}, indent=2)
        (folder / CHAIN_FILE).write_text(text + "\n", encoding="utf-8")
