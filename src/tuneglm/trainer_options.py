"""The options of transformers.TrainingArguments: their names, and what their values may be.

They are read from the source of the class: importing it costs seconds (it imports
torch), and a run file is judged before that.
"""

import ast
import importlib.util
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

# as the source writes the type → what values have it, and its name in a sentence
_KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "bool": (lambda value: isinstance(value, bool), "true or false"),
    "int": (lambda value: isinstance(value, int) and not isinstance(value, bool), "a whole number"),
    "float": (
        lambda value: isinstance(value, int | float) and not isinstance(value, bool),
        "a number",
    ),
    "str": (lambda value: isinstance(value, str | Path), "text"),
    "dict": (lambda value: isinstance(value, dict), "a section"),
    "list": (lambda value: isinstance(value, list), "a list"),
    "None": (lambda value: value is None, "null"),
}

_ABOVE_ZERO = (
    "per_device_train_batch_size",
    "per_device_eval_batch_size",
    "gradient_accumulation_steps",
    "num_train_epochs",
    "logging_steps",
    "eval_steps",
    "save_steps",
    "save_total_limit",
)
_NOT_NEGATIVE = (
    "learning_rate",
    "weight_decay",
    "warmup_steps",
    "max_grad_norm",
    "adam_epsilon",
    "dataloader_num_workers",
    "eval_delay",
)
_SHARES = ("adam_beta1", "adam_beta2", "label_smoothing_factor")
_SEEDS = ("seed", "data_seed")
# text by its type, and by its documentation true or false
_SWITCHES = ("fsdp",)
LARGEST_SEED = 2**32 - 1


def expected_value(name: str, value: Any) -> str | None:
    """None where `value` may stand at the option `name`, else what may, in words."""
    kinds = [kind.partition("[")[0] for kind in trainer_options()[name].split(" | ")]
    if name in _SWITCHES and isinstance(value, bool):
        return None
    if not set(kinds) <= _KINDS.keys():
        # an enumeration or a structure: transformers' own sentence is good
        return None
    if not any(_KINDS[kind][0](value) for kind in kinds):
        return " or ".join(_KINDS[kind][1] for kind in kinds if kind != "None")
    if isinstance(value, int | float):
        return _expected_number(name, value)
    return None


def _expected_number(name: str, value: float) -> str | None:
    if name in _ABOVE_ZERO and not value > 0:
        return "above 0"
    if name in _NOT_NEGATIVE and not value >= 0:
        return "0 or more"
    if name in _SHARES and not 0 <= value < 1:
        return "at least 0 and below 1"
    if name in _SEEDS and not 0 <= value <= LARGEST_SEED:
        return f"between 0 and {LARGEST_SEED}"
    if name == "max_steps" and not (value > 0 or value == -1):
        return "above 0, or -1, where num_train_epochs decides"
    return None


@cache
def trainer_options() -> Mapping[str, str]:
    """Name → type, both as the source writes them."""
    package = importlib.util.find_spec("transformers")
    assert package is not None and package.submodule_search_locations
    source = Path(package.submodule_search_locations[0]) / "training_args.py"
    tree = ast.parse(source.read_text(encoding="utf-8"))
    (definition,) = (
        node
        for node in tree.body
        if isinstance(node, ast.ClassDef) and node.name == "TrainingArguments"
    )
    return {
        node.target.id: ast.unparse(node.annotation)
        for node in definition.body
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and not node.target.id.startswith("_")
    }
