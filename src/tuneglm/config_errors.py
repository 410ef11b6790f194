"""What is wrong with a run's options, in a sentence that names the option, and what to do."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

import yaml
from pydantic import ValidationError

from tuneglm.errors import ConfigError
from tuneglm.method_config import METHOD_SECTIONS
from tuneglm.option_list import run_options
from tuneglm.section import Section
from tuneglm.trainer_options import trainer_options

LISTED = 40  # more names than that are not read


def config_error(error: ValidationError, sections: Mapping[str, type[Section]]) -> ConfigError:
    """The first problem of a validation, in one sentence."""
    problems = error.errors()
    # a misspelt key also leaves its right spelling missing: name the cause
    problem = next((one for one in problems if one["type"] == "extra_forbidden"), problems[0])
    place = [str(part) for part in problem["loc"]]
    siblings = _siblings(place, sections)
    # pydantic puts the variant's tag into the location: method.lora.rank
    if place[0] == "method" and len(place) > 2:
        del place[1]
    dotted = ".".join(place)
    if problem["type"] == "extra_forbidden":
        key = place[-1]
        elsewhere = _elsewhere(key, siblings, sections) if dotted == key else None
        told = elsewhere or unknown_option(dotted, key, siblings)
        return ConfigError(*told.split("\n", 1))
    if problem["type"] == "missing":
        return ConfigError(f"`{dotted}` is missing.", _missing_hint(dotted))
    if problem["type"] == "union_tag_invalid":
        tag, known = problem["ctx"]["tag"], problem["ctx"]["expected_tags"].replace("'", "")
        near = difflib.get_close_matches(tag, known.split(", "), n=1)
        nearest = f"did you mean `{near[0]}`? " if near else ""
        return ConfigError(f"There is no {dotted} `{tag}`.", f"{nearest}known: {known}")
    if problem["type"] == "literal_error":
        return _no_such_word(dotted, problem["input"], problem["ctx"]["expected"])
    if problem["type"] == "value_error":
        return ConfigError(*str(problem["ctx"]["error"]).split("\n", 1))
    if problem["type"] in ("model_type", "model_attributes_type", "dict_type"):
        hint = f"write model.path={problem['input']}" if dotted == "model" else None
        return ConfigError(f"`{dotted}` is a section, not the value `{problem['input']}`.", hint)
    hint = "a share is a part of 1: 0.05 is 5%" if place[-1].endswith("share") else None
    return ConfigError(
        f"`{dotted}` cannot be `{problem['input']}`: {problem['msg'].lower()}.", hint
    )


def unknown_option(dotted: str, key: str, known: Iterable[str]) -> str:
    """An option that its section does not have, and on the next line the nearest that it has."""
    names = tuple(known)
    near = difflib.get_close_matches(key, names, n=1, cutoff=0.5)
    if near:
        hint = f"did you mean `{dotted.removesuffix(key)}{near[0]}`?"
    elif len(names) > LISTED:
        hint = "known here: those of transformers.TrainingArguments"
    else:
        hint = f"known here: {', '.join(names)}"
    return f"There is no option `{dotted}`.\n{hint}"


def unfit(dotted: str, given: Any, expected: str) -> str:
    """A value of another kind than is expected, and what to do on the next line."""
    shown = yaml.safe_dump(given, allow_unicode=True).removesuffix("\n...\n").strip()
    hint = f"\nin quotes a number is text: {dotted}=\"'{shown}'\"" if expected == "text" else ""
    return f"`{dotted}` should be {expected}, not `{shown}`.{hint}"


def _elsewhere(key: str, names: Iterable[str], sections: Mapping[str, type[Section]]) -> str | None:
    """A key outside of all sections that stands in some of them."""
    # a name that several methods have stands there once
    found = {
        option.name: None for option in run_options(sections) if option.name.endswith(f".{key}")
    }
    if key in trainer_options():
        found = {f"training.{key}": None, **found}
    if not found or difflib.get_close_matches(key, tuple(names), n=1, cutoff=0.8):
        return None
    return f"There is no option `{key}`.\ndid you mean `{'` or `'.join(found)}`?"


def _no_such_word(dotted: str, given: object, expected: str) -> ConfigError:
    """A value that is none of a few; `expected` lists them as pydantic does: `'a', 'b' or 'c'`."""
    known = expected.replace("'", "").replace(" or ", ", ").replace("True, False", "true, false")
    near = difflib.get_close_matches(str(given).lower(), known.split(", "), n=1)
    nearest = f"did you mean `{near[0]}`? " if near else ""
    return ConfigError(f"`{dotted}` cannot be `{given}`.", f"{nearest}known: {known}")


def _siblings(place: list[str], sections: Mapping[str, type[Section]]) -> Iterable[str]:
    """Names of the fields beside the unknown one."""
    if len(place) == 1:
        return sections[""].model_fields
    if place[0] == "method":
        kinds = {kind.model_fields["name"].default: kind for kind in METHOD_SECTIONS}
        return kinds[place[1]].model_fields
    if len(place) > 2:
        return sections["data.identity" if place[1] == "identity" else "data.train[]"].model_fields
    return sections[place[0]].model_fields if place[0] in sections else ()


def _missing_hint(dotted: str) -> str | None:
    if dotted in ("model", "model.path"):
        return "say which model: model.path=FOLDER, or an id of the hub (OWNER/NAME)"
    return None
