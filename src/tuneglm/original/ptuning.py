"""The arguments of the official `ptuning` scripts → a run.

Most are those of TrainingArguments, or named as in the table of flags; here are the others.
"""

from collections.abc import Sequence
from typing import Any

from tuneglm.original.house import House
from tuneglm.original.reading import Given, read_arguments, split
from tuneglm.original.translation import Translation, translated

# a file of rows → the key whose entry it is
FILES = {"train_file": "data.train", "validation_file": "data.evaluation"}
# a column of theirs → ours, and what it is called where nothing is said
COLUMNS = {
    "prompt_column": ("instruction", None),
    "response_column": ("output", None),
    "history_column": ("history", None),
}
OTHERS = ("test_file", "ptuning_checkpoint", "dataset_name", "dataset_config_name", "lang")
MARKS = (*FILES, *COLUMNS, *OTHERS)
DEFAULTS = {"max_source_length": 1024, "max_target_length": 128}


def is_ptuning(words: Sequence[str]) -> bool:
    """Whether these are arguments of such a script."""
    return any(name.replace("-", "_") in MARKS for name, _ in split(words))


def from_ptuning(words: Sequence[str], house: House) -> Translation:
    """The run that they describe: a prefix where they give its length, else all weights."""
    own: dict[str, str] = {}
    rest: list[str] = []
    for name, values in split(words):
        plain = name.replace("-", "_")
        if plain in MARKS:
            own[plain] = values[0] if values else ""
        else:
            rest += [f"--{plain}", *values]
    given: Given = {**DEFAULTS, **read_arguments(rest)}
    given["finetuning_type"] = "p_tuning" if given.get("pre_seq_len") else "full"
    if own.get("ptuning_checkpoint"):
        given["checkpoint_dir"] = own["ptuning_checkpoint"]
    found = translated(given, house, job="train", has_gpu=None)
    settings = {key: value for key, value in found.settings.items() if key != "data.train"}
    settings.pop("data.registry", None)
    for name, key in FILES.items():
        if own.get(name):
            limit = given.get("max_train_samples" if name == "train_file" else "max_eval_samples")
            settings[key] = [_entry(own[name], own, limit)]
    return Translation(settings, (*found.remarks, *_remarks(own)))


def _entry(path: str, own: dict[str, str], limit: Any) -> dict[str, Any]:
    columns = {ours: own[theirs] for theirs, (ours, _) in COLUMNS.items() if own.get(theirs)}
    entry: dict[str, Any] = {"path": path if "/" in path else f"./{path}", "columns": columns}
    if columns:
        entry["format"] = "alpaca"
    return entry | ({} if limit is None else {"max_rows": limit})


def _remarks(own: dict[str, str]) -> list[str]:
    found = [
        "the official script pads each row to both lengths; here none is padded, and the same "
        "is learnt in less time.",
    ]
    if own.get("test_file"):
        found.append(
            f"test_file: tuneglm evaluate OUT --data {own['test_file']} writes the same answers."
        )
    for name in ("dataset_name", "dataset_config_name", "lang"):
        if own.get(name):
            found.append(f"{name}: {own[name]} is left out; name a set, or a file of rows.")
    return found
