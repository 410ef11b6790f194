"""Old arguments, a script with them, or another tool's file → a run file, with remarks."""

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tuneglm.config import load_config
from tuneglm.errors import ConfigError
from tuneglm.original.command import overrides
from tuneglm.original.house import House
from tuneglm.original.llama_factory import from_llama_factory
from tuneglm.original.ptuning import from_ptuning, is_ptuning
from tuneglm.original.reading import read_arguments, read_json_arguments, read_json_object
from tuneglm.original.translation import Translation, translated
from tuneglm.run_file import read_run_file

# keys that only LLaMA-Factory's files have
THEIRS = {"template", "cutoff_len", "lora_target", "val_size", "trust_remote_code"}
PROGRAM = re.compile(r".*\.py$")
ASSIGNMENT = re.compile(r"(?:export\s+)?([A-Za-z_]\w*)=(\S*)")


def imported(words: Sequence[str]) -> Translation:
    """The run that a file or arguments describe; raises ConfigError where they describe none."""
    if len(words) == 1 and not words[0].startswith("-"):
        return _from_file(Path(words[0]).expanduser())
    return _from_arguments(_behind_program(words))


def run_file_of(found: Translation) -> str:
    """YAML that `tuneglm train` reads, below what is to be said of it."""
    load_config(None, overrides(found.settings))
    tree: dict[str, Any] = {}
    for key, value in found.settings.items():
        *parents, last = key.split(".")
        inner = tree
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[last] = value
    before = [f"{name}={value} " for name, value in found.environment.items()]
    head = [f"# {''.join(before)}tuneglm train run.yaml"]
    head += [f"# {' '.join(remark.split())}" for remark in found.remarks]
    text = yaml.safe_dump(tree, allow_unicode=True, sort_keys=False)
    return "\n".join(head) + "\n" + text


def _from_file(path: Path) -> Translation:
    if not path.is_file():
        raise ConfigError(
            f"There is no file `{path}`.",
            "give a .yaml, .json or .sh file, or the arguments themselves",
        )
    if path.suffix in (".yaml", ".yml"):
        return _from_tree(path, read_run_file(path))
    if path.suffix == ".json":
        tree = read_json_object(path)
        if not THEIRS.isdisjoint(tree):
            return _from_tree(path, tree)
        given = {"do_train": True, **read_json_arguments(path)}
        return translated(given, House(), job="train", has_gpu=None)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        raise ConfigError(
            f"`{path}` cannot be read as text.", "known: .yaml, .json, and scripts"
        ) from None
    return _from_arguments(_behind_program(script_words(text)))


def _from_tree(path: Path, tree: Mapping[str, Any]) -> Translation:
    if {"model", "training"} & tree.keys():
        raise ConfigError(f"`{path}` is a run file already.", f"tuneglm train {path}")
    if "model_name_or_path" not in tree:
        raise ConfigError(
            f"`{path}` is no file of LLaMA-Factory: it names no `model_name_or_path`.",
            "known: its YAML, arguments of old, and scripts with them",
        )
    return from_llama_factory(tree)


def _from_arguments(words: Sequence[str]) -> Translation:
    if not words:
        raise ConfigError(
            "There are no arguments to import.", "tuneglm import-config --do_train --dataset NAME …"
        )
    if is_ptuning(words):
        return from_ptuning(words, House())
    return translated(read_arguments(words), House(), job="train", has_gpu=None)


def _behind_program(words: Sequence[str]) -> list[str]:
    """The words behind the last `….py`: before it stand its launcher and variables."""
    places = [place for place, word in enumerate(words) if PROGRAM.match(word)]
    return list(words[places[-1] + 1 :] if places else words)


def script_words(text: str) -> list[str]:
    """The words of the first command of a script that runs a Python file; its variables filled."""
    values: dict[str, str] = {}
    lines = re.sub(r"\\[ \t]*\n", " ", text).splitlines()
    for line in lines:
        try:
            words = shlex.split(line, comments=True)
        except ValueError:
            continue
        if len(words) == 1 and (found := ASSIGNMENT.fullmatch(words[0])):
            values[found[1]] = found[2]
        elif any(PROGRAM.match(word) for word in words):
            filled = (_filled(word, values) for word in words)
            return [word for word in filled if word and word != "$@"]
    raise ConfigError("No line of the script runs a Python file.", "give the arguments themselves")


def _filled(word: str, values: Mapping[str, str]) -> str:
    """`$NAME`, `${NAME}` and `${NAME:-else}` → what the script says."""

    def value(found: re.Match[str]) -> str:
        name, default = found[1] or found[2], found[3]
        return values.get(name, default if default is not None else found[0])

    return re.sub(r"\$(?:(\w+)|\{(\w+)(?::-([^}]*))?\})", value, word)
