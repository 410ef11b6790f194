"""The command `tuneglm export`: what may be typed behind it."""

import argparse
from pathlib import Path
from typing import Any

from tuneglm.command_line import add_command, add_family, no_bars


def export(given: argparse.Namespace) -> int:
    """Write whole weights."""
    no_bars()
    from tuneglm.checkpoints import run_within
    from tuneglm.export import Export, export
    from tuneglm.reports.terminal import command

    wanted = Export(
        str(run_within(given.path)),
        Path(given.output),
        layout=given.layout,
        bits=given.bits,
        dtype=given.dtype,
        family=given.family,
        adapters=tuple(given.adapter),
    )
    folder = export(wanted)
    print(f"Saved  {folder}: weights and tokenizer")
    print(f"Talk to it:  {command('chat', str(folder))}")
    return 0


def add_export(commands: Any, name: str) -> None:
    """Its parser."""
    parser = add_command(
        commands,
        name,
        export,
        "Write whole weights: a run's adapter merged into its model, or a model in another form.",
    )
    parser.add_argument("path", help="output folder of a run, model folder, or id of the hub")
    add_family(parser)
    parser.add_argument(
        "--adapter",
        action="append",
        default=[],
        help="folder of trained parts that are merged as well: LoRA, weights alone; repeatable",
    )
    parser.add_argument("output", help="a new folder for the result")
    parser.add_argument(
        "--layout",
        choices=("published", "native"),
        help="names of the weights: the family's own, or transformers'; its own where it has some",
    )
    parser.add_argument(
        "--bits", type=int, choices=(4, 8), help="pack as the official int4 and int8 checkpoints"
    )
    parser.add_argument(
        "--dtype", help="float16, bfloat16 or float32; what the model's files have when left out"
    )
