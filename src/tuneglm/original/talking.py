"""`infer.py`, `web_demo.py` and `export_model.py`: a model with its checkpoints, put to use."""

import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from tuneglm.cli import leave_with, main
from tuneglm.command_line import no_bars
from tuneglm.errors import ConfigError
from tuneglm.original.house import TOOL, House
from tuneglm.original.reading import Given, read_arguments

# `max_length` of the official demonstrations
LONGEST = 2048
WELCOME = "输入内容即可对话，clear 清空对话历史，stop 终止程序 (clear: begin anew, stop: end)"
COMMANDS = {"clear": "/clear", "stop": "/quit"}
CHAT_HELP = f"""Talk to a model, by the arguments of {TOOL}:

  python src/infer.py --checkpoint_dir OUT [--model_name_or_path MODEL] [--quantization_bit 4]"""


def talk(words: Sequence[str], house: House) -> NoReturn:
    """The conversation in a terminal: `clear` and `stop` are its commands."""
    leave_with(lambda: _talk(words, house))


def _talk(words: Sequence[str], house: House) -> int:
    if words and words[0] in ("-h", "--help"):
        print(CHAT_HELP)
        return 0
    given = _given(words)
    from tuneglm.chat import chat
    from tuneglm.chat.voices import Asked, voices_of
    from tuneglm.config import load_config
    from tuneglm.original.command import command_line, overrides, say
    from tuneglm.original.finetune import has_gpu
    from tuneglm.original.judging import drawing_of
    from tuneglm.original.translation import translated

    translation = translated(given, house, job="predict", has_gpu=has_gpu())
    kept = {key: each for key, each in translation.settings.items() if key.startswith("model.")}
    config = load_config(None, overrides(kept))
    drawing = drawing_of({"seed": None, **given}, LONGEST)
    same = ["chat", config.model.path]
    same += [word for each in config.model.adapters for word in ("--adapter", each)]
    same += ["--bits", str(config.model.bits)] if config.model.bits else []
    same += ["--temperature", str(drawing.temperature), "--top-p", str(drawing.top_p)]
    say(translation.remarks, command_line(same, translation.environment))
    no_bars()
    bits = None if config.model.bits == "auto" else config.model.bits
    how = {"family": None, "dtype": None, "bits": bits, "device": None}
    voices = voices_of(Asked([config.model.path], list(config.model.adapters), None, how))
    # a byte that is none of UTF-8 ends no conversation
    if isinstance(sys.stdin, io.TextIOWrapper) and not sys.stdin.isatty():
        sys.stdin.reconfigure(errors="replace")
    print(WELCOME)
    chat(voices, drawing, COMMANDS)
    return 0


def export_model(words: Sequence[str], house: House) -> NoReturn:
    """Write whole weights: checkpoints merged into their model."""

    def run() -> int:
        given = _given(words)
        if not given.get("output_dir"):
            raise ConfigError("`--output_dir` is missing.", "name a new folder")
        path, adapters = _model_of(given, house)
        call = ["export", path, given["output_dir"]]
        call += [word for each in adapters for word in ("--adapter", each)]
        # a prefix merges into no weights: it goes beside them, as the official code reads it
        call += ["--layout", "published"] if _has_prefix(adapters) else []
        call += ["--shard-size", given["max_shard_size"]] if "max_shard_size" in given else []
        _as_today(call)
        return 0

    leave_with(run)


def show_page(words: Sequence[str], house: House) -> NoReturn:
    """The page of a model: `tuneglm web`."""

    def run() -> int:
        given = _given(words)
        path, adapters = _model_of(given, house)
        call = ["web"]
        if len(adapters) == 1 and (Path(adapters[0]) / "run.yaml").is_file():
            call += [adapters[0]]
        elif adapters:
            raise ConfigError(
                f"`{adapters[0]}` is not of tuneglm, and the page shows what is.",
                "write it into a model first (src/export_model.py), or talk in the terminal "
                "(src/infer.py)",
            )
        elif Path(path).expanduser().is_dir():
            call += ["--models", path]
        _as_today([*call])
        return 0

    leave_with(run)


def _given(words: Sequence[str]) -> Given:
    given = read_arguments(words)
    # read when the hub's client is imported
    if given.get("cache_dir"):
        os.environ["HF_HUB_CACHE"] = given["cache_dir"]
    from tuneglm.original.sections import refuse_missing

    refuse_missing(given)
    return given


def _model_of(given: Given, house: House) -> tuple[str, list[str]]:
    """The model, and the checkpoints that belong to it."""
    from tuneglm.original.translation import translated

    settings = translated(given, house, job="predict", has_gpu=None).settings
    return settings["model.path"], settings.get("model.adapters", [])


def _has_prefix(adapters: Sequence[str]) -> bool:
    from tuneglm.models.chain import kind_of
    from tuneglm.models.loading import adapter_folder

    return any(kind_of(adapter_folder(each)) == "p_tuning" for each in adapters)


def _as_today(call: Sequence[str]) -> NoReturn:
    from tuneglm.original.command import command_line, say

    say((), command_line(call))
    main(call)
