"""The command `tuneglm serve`: the OpenAI API over a model and its adapters."""

import argparse
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from tuneglm.command_line import add_command, no_bars
from tuneglm.errors import ConfigError
from tuneglm.serve_config import ServeConfig

PACKAGES = ("fastapi", "prometheus_client", "uvicorn")


def serve(given: argparse.Namespace) -> int:
    """Answer requests until Ctrl-C."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"Serving needs `{missing[0]}`, which is not installed.", 'pip install "tuneglm[api]"'
        )
    config = _config({name: getattr(given, name) for name in ServeConfig.model_fields})
    no_bars()
    from tuneglm.api.limits import keys_of
    from tuneglm.api.served import load_served
    from tuneglm.api.server import bound, serve
    from tuneglm.api.service import Service

    # before a model is loaded for minutes
    keys_of(config)
    listening = bound(config)
    served = load_served(
        given.path,
        config,
        _named(given.adapter),
        family=given.family,
        dtype=given.dtype,
        bits=given.bits,
        device=given.device,
    )
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
    parser.add_argument("--family", help="family of the model; guessed when left out")
    parser.add_argument("--dtype", help="auto, float32, bfloat16 or float16")
    parser.add_argument(
        "--bits", type=int, choices=(16, 8, 4), help="hold the weights in so many bits"
    )
    parser.add_argument("--device", help="cuda, cpu …; the GPU if there is one")
    for field_name, field in ServeConfig.model_fields.items():
        option = f"--{field_name.replace('_', '-')}"
        shown = "" if field.default is None else f" ({field.default!r})"
        text = f"{field.description}{shown}".replace("%", "%%")
        if field.annotation is bool:
            parser.add_argument(option, action="store_true", help=text)
            continue
        kinds = [kind for kind in get_args(field.annotation) if kind is not type(None)]
        kind = next((each for each in (kinds[0] if kinds else field.annotation,)), str)
        plain: Any = get_args(kind)[0] if get_args(kind) else kind
        parser.add_argument(
            option,
            type=plain,
            default=field.default,
            metavar=field_name.rpartition("_")[2].upper(),
            help=text,
        )
