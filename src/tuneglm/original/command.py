"""The same as a tuneglm command, as it can be typed: what each start of old prints."""

import json
import os
import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from tuneglm.original.sections import Settings
from tuneglm.run_file import read_yaml

PLAIN = re.compile(r"[\w@%+=:,./-]+")
# sections whose lists may be written with commas
WITH_COMMAS = ("data.train", "data.evaluation", "model.adapters", "method.targets")


def overrides(settings: Settings) -> list[str]:
    """`key=value`, as the command line reads them back."""
    return [f"{key}={_written(key, value)}" for key, value in settings.items()]


def _written(key: str, value: Any) -> str:
    """A value as YAML of one line."""
    if key in WITH_COMMAS and isinstance(value, list) and all(map(_is_word, value)):
        joined = ",".join(value)
        if joined and _reads_as_it_is(joined):
            return joined
    if isinstance(value, str) and _reads_as_it_is(value):
        return value
    return json.dumps(value, ensure_ascii=False)


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and "," not in value


def _reads_as_it_is(text: str) -> bool:
    try:
        return bool(read_yaml(text) == text)
    except yaml.YAMLError:
        return False


def command_line(words: Iterable[str], environment: Mapping[str, str] | None = None) -> str:
    """Words as a shell takes them, behind the variables that are set for them alone."""
    before = [f"{name}={shlex.quote(value)}" for name, value in (environment or {}).items()]
    quoted = [word if PLAIN.fullmatch(word) else shlex.quote(word) for word in words]
    return " ".join([*before, "tuneglm", *quoted])


def say(remarks: Iterable[str], same: str) -> None:
    """What differs, and the same as a command of today; of several processes the first says it."""
    if os.environ.get("RANK", "0") != "0":
        return
    for remark in remarks:
        print(f"Note: {remark}")
    print(f"The same today:\n  {same}", flush=True)
