"""Words of an old command, or a file of arguments → the flags that were given, and their values."""

import difflib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tuneglm.errors import ConfigError
from tuneglm.original.flags import FLAGS, MEANT, SEVERAL, Flag
from tuneglm.run_file import read_yaml
from tuneglm.trainer_options import trainer_options
from tuneglm.yaml_faults import one_line

Given = dict[str, Any]

WORDS = {
    **dict.fromkeys(("true", "t", "yes", "y", "1"), True),
    **dict.fromkeys(("false", "f", "no", "n", "0"), False),
}


def read_arguments(words: Sequence[str]) -> Given:
    """The flags of a command, with dashes or underscores; or of the single .json file it names.

    Raises ConfigError for what is no flag, with the nearest that is one, and for a value
    of a wrong kind. A flag that stands twice has the later value.
    """
    if len(words) == 1 and words[0].endswith(".json"):
        return read_json_arguments(Path(words[0]))
    given: Given = {}
    for name, values in split(words):
        flag, known, negated = known_flag(name)
        if negated:
            values = values or ["false"]
        given[known] = _value(known, flag, values)
    return given


def read_json_arguments(path: Path) -> Given:
    """The flags in a file that holds one object."""
    given: Given = {}
    for name, value in read_json_object(path).items():
        flag, known, _ = known_flag(str(name))
        if value is not None:
            given[known] = _value(known, flag, [value] if isinstance(value, str) else value)
    return given


def read_json_object(path: Path) -> Mapping[str, Any]:
    """What such a file holds; raises ConfigError where it is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"`{path}` cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise ConfigError(f"`{path}` is not readable JSON: {one_line(error)}.") from None
    if not isinstance(content, Mapping):
        raise ConfigError(f"`{path}` holds no arguments.", 'write {"do_train": true, …}')
    return content


def split(words: Sequence[str]) -> list[tuple[str, list[str]]]:
    """`--a-b 1 --c=2 --d` → each name with its words."""
    found: list[tuple[str, list[str]]] = []
    for word in words:
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            found.append((name, [value] if equals else []))
        elif found:
            found[-1][1].append(word)
        elif word.strip():
            raise ConfigError(
                f"`{word}` is no argument.",
                "arguments are written --name value, or stand in a single .json file",
            )
    return found


def known_flag(name: str) -> tuple[Flag, str, bool]:
    """The flag of that name, its name as the table has it, and whether `no_` stood before it."""
    plain = name.strip().replace("-", "_")
    if plain in FLAGS:
        return FLAGS[plain], plain, False
    if plain in trainer_options():
        return Flag(_kind_of(plain), key=f"training.{plain}"), plain, False
    rest = plain.removeprefix("no_")
    if rest != plain and (rest in FLAGS or rest in trainer_options()):
        flag, known, _ = known_flag(rest)
        if flag.kind == "switch":
            return flag, known, True
    raise ConfigError(f"There is no argument `--{name}`.", _nearest(plain))


def _nearest(name: str) -> str:
    if name in MEANT:
        return f"what is meant is {MEANT[name]}"
    near = difflib.get_close_matches(name, [*FLAGS, *trainer_options()], n=1, cutoff=0.5)
    if near:
        return f"did you mean `--{near[0]}`?"
    return "known: those in docs/en/original.md, and those of transformers.TrainingArguments"


def _kind_of(option: str) -> Any:
    """The kind of an option of TrainingArguments, as its source types it."""
    kinds = {kind.partition("[")[0] for kind in trainer_options()[option].split(" | ")}
    if kinds - {"None"} == {"bool"}:
        return "switch"
    return "value" if kinds & {"bool", "int", "float", "dict", "list"} else "text"


def _value(name: str, flag: Flag, words: Any) -> Any:
    """What was given, as the flag's kind reads it."""
    if not isinstance(words, list):
        return _of_kind(name, flag, words)
    if not words:
        if flag.kind == "switch":
            return True
        raise ConfigError(f"`--{name}` has no value.", f"write --{name} VALUE")
    if flag.kind == "switch" and len(words) == 1 and isinstance(words[0], str):
        truth = WORDS.get(words[0].strip().lower())
        if truth is None:
            raise ConfigError(
                f"`--{name}` is on or off, not `{words[0]}`.", _bits_hint(name, words[0])
            )
        return truth
    if len(words) > 1 and name not in SEVERAL:
        raise ConfigError(
            f"`{words[1]}` stands behind `--{name}`, and belongs to no argument.",
            "a backslash that goes on with the next line has to be its line's last character",
        )
    read = [_read(name, word) if flag.kind == "value" else word for word in words]
    return _of_kind(name, flag, read[0] if len(read) == 1 else read)


def _of_kind(name: str, flag: Flag, value: Any) -> Any:
    expected = {"switch": bool, "text": str}.get(flag.kind)
    if expected is str and isinstance(value, list):
        return ",".join(str(part) for part in value)
    if expected is not None and not isinstance(value, expected):
        kind = "true or false" if expected is bool else "text"
        raise ConfigError(f"`{name}` should be {kind}, not `{value}`.")
    return value


def _read(name: str, word: Any) -> Any:
    try:
        return read_yaml(word) if isinstance(word, str) else word
    except yaml.YAMLError as error:
        raise ConfigError(f"The value of `--{name}` is not readable: {one_line(error)}.") from None


def _bits_hint(name: str, word: str) -> str:
    if name == "fp16" and word in ("8", "4"):
        return f"weights in {word} bits are --quantization_bit {word}"
    return f"write --{name}, or --{name} False"
