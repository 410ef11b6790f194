"""The command `tuneglm export`: what may be typed behind it."""

import argparse
from pathlib import Path
from typing import Any, get_args

from tuneglm.command_line import add_command, add_family, importing, no_bars
from tuneglm.errors import ConfigError
from tuneglm.hub import Hub

EXAMPLES = """examples:
  tuneglm export OUT                                  merged, into OUT-whole
  tuneglm export OUT FOLDER --layout native           for transformers, vLLM, SGLang
  tuneglm export OUT FOLDER --bits 4                  packed as the official int4 checkpoints
  tuneglm export OUT FOLDER --adapter-only --layout published    LoRA for the old code
  tuneglm export OUT --format gguf --bits 8           one file for llama.cpp
  tuneglm export OUT --upload OWNER/NAME --hub modelscope"""


def export(given: argparse.Namespace) -> int:
    """Write whole weights, an adapter in another form, or a file for llama.cpp."""
    from tuneglm.hub import check_upload, upload

    if given.adapter_only and given.format == "gguf":
        raise ConfigError(
            "`--adapter-only` and `--format gguf` do not go together.",
            "leave one of them out: merged, the adapter is in the file",
        )
    if given.upload is not None:
        check_upload(given.upload, given.hub)
    no_bars()
    with importing():
        from tuneglm.checkpoints import run_within
        from tuneglm.export import Export, export
        from tuneglm.reports.terminal import command

    path = run_within(given.path)
    wanted = Export(
        str(path),
        _output(path, given),
        layout=given.layout,
        bits=given.bits,
        dtype=given.dtype,
        family=given.family,
        adapters=tuple(given.adapter),
        format=given.format,
        adapter_only=given.adapter_only,
        shard_size=_shard_size(given.shard_size),
        check=not given.no_check,
    )
    exported = export(wanted)
    print(f"Saved  {exported.folder}: {_written(given)}")
    if exported.checked is not None or exported.unchecked:
        print(f"Checked  {exported.checked or exported.unchecked}")
    if given.format == "safetensors":
        print(f"Talk to it:  {command('chat', str(exported.folder))}")
    if given.upload is not None:
        page = upload(exported.folder, given.upload, given.hub, private=not given.public)
        print(f"Uploaded  {page}{'' if given.public else ' (private)'}")
    return 0


def _written(given: argparse.Namespace) -> str:
    if given.format == "gguf":
        return "one file for llama.cpp, weights and tokenizer"
    return "the adapter" if given.adapter_only else "weights and tokenizer"


def _output(path: Path, given: argparse.Namespace) -> Path:
    """The folder that was named, or one beside what is exported."""
    if given.output is not None:
        return Path(given.output).expanduser()
    folder = path.expanduser()
    # of `.` and of a link the name is what a person calls it; an id's result is put here
    named = folder if folder.is_dir() and folder.name else folder.resolve()
    place = named if folder.is_dir() else Path(path.name)
    kind = "gguf" if given.format == "gguf" else "adapter" if given.adapter_only else "whole"
    return place.with_name(f"{place.name}-{kind}")


def _shard_size(text: str | None) -> int:
    from tuneglm.models.published import LARGEST_FILE
    from tuneglm.plan.capacity import size_of

    return LARGEST_FILE if text is None else size_of(text)


def add_export(commands: Any, name: str) -> None:
    """Its parser."""
    parser = add_command(
        commands,
        name,
        export,
        "Write whole weights: a run's adapter merged into its model, or a model in another form.",
        epilog=EXAMPLES,
    )
    parser.add_argument("path", help="output folder of a run, model folder, or id of the hub")
    add_family(parser)
    parser.add_argument(
        "--adapter",
        action="append",
        default=[],
        help="folder of trained parts that are merged as well: LoRA, weights alone; repeatable",
    )
    parser.add_argument(
        "output",
        nargs="?",
        help="a new folder for the result (PATH-whole, -adapter or -gguf, beside it)",
    )
    parser.add_argument(
        "--layout",
        choices=("published", "native"),
        help="names of the weights: the family's own, or transformers'; its own where it has some",
    )
    parser.add_argument(
        "--bits", type=int, choices=(4, 8), help="pack as the official int4 and int8 checkpoints"
    )
    parser.add_argument(
        "--format",
        choices=("safetensors", "gguf"),
        default="safetensors",
        help="gguf: one file for llama.cpp; with --bits 8 as Q8_0 (%(default)s)",
    )
    parser.add_argument(
        "--adapter-only",
        action="store_true",
        help="do not merge: write the adapter alone, with --layout published on the fused modules "
        "of the old code, with native on those of transformers; a prefix in the official form",
    )
    parser.add_argument(
        "--upload", metavar="OWNER/NAME", help="put the result on a hub as well, private"
    )
    parser.add_argument(
        "--hub", choices=get_args(Hub), default="huggingface", help="where to (%(default)s)"
    )
    parser.add_argument("--public", action="store_true", help="let everybody see what is uploaded")
    parser.add_argument(
        "--shard-size", metavar="SIZE", help="of a weight file at most, such as 2GB (4 · 10⁹ bytes)"
    )
    parser.add_argument(
        "--no-check", action="store_true", help="do not load the result again to compare it"
    )
    parser.add_argument(
        "--dtype", help="float16, bfloat16 or float32; what the model's files have when left out"
    )
