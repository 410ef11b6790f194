"""The command `tuneglm serve`: the OpenAI API over a model and its adapters."""

import argparse
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tuneglm.command_line import (
    add_command,
    add_fields,
    add_loading,
    importing,
    loading_of,
    no_bars,
)
from tuneglm.errors import ConfigError
from tuneglm.packages import need
from tuneglm.serve_config import ServeConfig


def serve(given: argparse.Namespace) -> int:
    """Answer requests until Ctrl-C."""
    need("api", "Serving")
    config = _config({name: getattr(given, name) for name in ServeConfig.model_fields})
    no_bars()
    with importing():
        from tuneglm.api.limits import keys_of
        from tuneglm.api.served import load_served
        from tuneglm.api.server import bound, serve
        from tuneglm.api.service import Service

    # before a model is loaded for minutes
    keys_of(config)
    listening = bound(config)
    served = load_served(given.path, config, _named(given.adapter), **loading_of(given))
    return serve(Service(served, config), listening)


def _named(given: list[str]) -> dict[str, str]:
    """`--adapter NAME=PATH`, each with a name of its own."""
    named = dict[str, str]()
    for word in given:
        name, equals, path = word.partition("=")
        if not equals or not name or not path or name in named or Path(word).is_dir():
            raise ConfigError(
                f"`--adapter {word}` gives no adapter a name of its own.",
                "write --adapter NAME=FOLDER; requests choose it by that name",
            )
        named[name] = path
    return named


def _config(values: dict[str, Any]) -> ServeConfig:
    try:
        return ServeConfig.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        option = f"--{str(first['loc'][0]).replace('_', '-')}"
        raise ConfigError(f"`{option} {first['input']}`: {first['msg']}.") from None


def add_serve(commands: Any, name: str) -> None:
    """The command's parser, with an option for each field of `ServeConfig`."""
    parser = add_command(
        commands,
        name,
        serve,
        "Serve a model by the OpenAI API, or what a run made of it, and adapters by their names.",
        epilog="examples:\n  tuneglm serve demo_output\n"
        "  tuneglm serve MODEL --adapter star=OUT --adapter moon=OUT2 --port 8080\n"
        "  TUNEGLM_API_KEY=… tuneglm serve MODEL --host 0.0.0.0",
    )
    parser.add_argument("path", help="output folder of a run, model folder, or id of the hub")
    parser.add_argument(
        "--adapter",
        action="append",
        default=[],
        metavar="NAME=FOLDER",
        help="an adapter (LoRA, prefix, soft prompt) that requests choose as model; repeatable",
    )
    add_loading(parser)
    add_fields(parser, ServeConfig)
