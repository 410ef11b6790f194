"""The families of models, and which one a folder holds."""

import difflib
import functools
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tuneglm.errors import ModelError
from tuneglm.models.chatglm import CHATGLM
from tuneglm.models.chatglm2 import CHATGLM2
from tuneglm.models.chatglm3 import CHATGLM3
from tuneglm.models.family import Family
from tuneglm.models.glm4 import GLM4
from tuneglm.models.native import NATIVE
from tuneglm.models.weights import read_json

log = logging.getLogger(__name__)

FAMILIES: dict[str, Family] = {
    "chatglm": CHATGLM,
    "chatglm2": CHATGLM2,
    "chatglm3": CHATGLM3,
    "glm4": GLM4,
    "native": NATIVE,
}


def family_of(folder: Path, name: str | None = None) -> Family:
    """The family named `name`, or else the one whose model lies in `folder`.

    A folder that we saved says so itself (`family` in tokenizer_config.json). A
    guess is logged in one line with the way to override it.
    """
    name = name or saved_family(folder)
    if name is not None:
        chosen = family_named(name)
        _refuse_other_network(folder, chosen)
        return chosen
    config = read_json(folder / "config.json")
    candidates = _candidates(folder, config)
    if not candidates:
        raise ModelError(
            f"`{folder}` holds a model of type `{config.get('model_type')}`, "
            "which no family of tuneglm recognises.",
            f"families: {', '.join(FAMILIES)}; if it is one of them, say so: model.family=NAME",
        )
    # later families add to the files of earlier ones: the last that fits fits best
    chosen = candidates[-1]
    if chosen.layout is not None:
        _tell_guess(folder.resolve(), chosen.name)
    return chosen


@functools.cache
def _tell_guess(folder: Path, name: str) -> None:
    """Once a folder: several rooms ask for the family of one."""
    log.info(
        "Model of the family %s, by its files (--family or model.family names another)",
        name,
    )


def _candidates(folder: Path, config: Mapping[str, Any]) -> list[Family]:
    return [family for family in FAMILIES.values() if family.recognises(folder, config)]


def _refuse_other_network(folder: Path, chosen: Family) -> None:
    """A family that was named may differ from the guess, but not in the network itself."""
    guesses = _candidates(folder, read_json(folder / "config.json", {}))
    published = [family for family in guesses if family.layout is not None]
    modules = None if chosen.layout is None else chosen.layout.modules
    if published and all(guess.layout.modules != modules for guess in published if guess.layout):
        raise ModelError(
            f"`{folder}` holds no model of the family `{chosen.name}`: by its files it is "
            f"{published[-1].name}.",
            "leave the family out, or name the right one",
        )


def saved_family(folder: Path) -> str | None:
    """The family that a folder of ours names in its tokenizer_config.json."""
    return read_json(folder / "tokenizer_config.json", {}).get("family")


def family_named(name: str) -> Family:
    """The family of that name; raises ModelError naming the nearest known one."""
    if name in FAMILIES:
        return FAMILIES[name]
    near = difflib.get_close_matches(name, FAMILIES, n=1)
    known = f"did you mean `{near[0]}`?" if near else f"families: {', '.join(FAMILIES)}"
    raise ModelError(f"There is no family `{name}`.", known)
