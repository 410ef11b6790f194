"""The arguments of the official `ptuning` scripts → a run.

Most are those of TrainingArguments, or named as in the table of flags; here are the others.
"""

from collections.abc import Sequence
from typing import Any

from tuneglm.original.house import House
from tuneglm.original.llama_factory import KEPT
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
# what has no place in a run → what does it, or why nothing does
LEFT_OUT = {
    "dataset_name": "name a set, or a file of rows",
    "dataset_config_name": "name a set, or a file of rows",
    "lang": "the rows say it",
    "val_max_target_length": "an answer of the evaluation is cut as one that is trained",
    "max_predict_samples": "tuneglm evaluate takes --rows",
    "forced_bos_token": "an answer begins as the model's family begins it",
}
# what has another meaning here
CHANGED = {
    "history_column": "every answer is trained, there the last alone (data.train_on=last).",
    "quantization_bit": "bits are bitsandbytes', nf4 for 4; int4 and int8 checkpoints stay packed.",
    "predict_with_generate": "a run has the loss alone; tuneglm evaluate OUT scores answers.",
    "preprocessing_num_workers": "it holds for large sets, a small one is encoded by one process.",
}
OTHERS = ("test_file", "ptuning_checkpoint", *LEFT_OUT)
MARKS = (*FILES, *COLUMNS, *OTHERS)
DEFAULTS = {"max_source_length": 1024, "max_target_length": 128}


def is_ptuning(words: Sequence[str]) -> bool:
    """Whether these are arguments of such a script."""
    return any(name.replace("-", "_") in MARKS for name, _ in split(words))


def from_ptuning(words: Sequence[str], house: House) -> Translation:
    """The run that they describe: a prefix where they give its length, else all weights."""
    own: dict[str, str] = {}
    rest: list[str] = []
    typed: list[str] = []
    for name, values in split(words):
        plain = name.replace("-", "_")
        typed.append(plain)
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
    return Translation(settings, (*found.remarks, *_remarks(own, typed)))


def _entry(path: str, own: dict[str, str], limit: Any) -> dict[str, Any]:
    columns = {ours: own[theirs] for theirs, (ours, _) in COLUMNS.items() if own.get(theirs)}
    entry: dict[str, Any] = {"path": path if "/" in path else f"./{path}", "columns": columns}
    if columns:
        entry["format"] = "alpaca"
    return entry | ({} if limit is None else {"max_rows": limit})


def _remarks(own: dict[str, str], typed: Sequence[str]) -> list[str]:
    found = [
        "the official script pads each row to both lengths; here none is padded, and the same "
        "is learnt in less time.",
    ]
    if own.get("test_file"):
        found.append(
            f"test_file: tuneglm evaluate OUT --data {own['test_file']} writes the same answers."
        )
    for name, instead in LEFT_OUT.items():
        if own.get(name):
            found.append(f"{name}: {own[name]} is left out: {instead}.")
    found += [f"{name}: {changed}" for name, changed in CHANGED.items() if name in typed]
    if "save_steps" in typed and "save_total_limit" not in typed:
        found.append(f"save_steps: {KEPT}")
    return found
