"""`tuneglm import-config`: other tools' arguments and files → a run file."""

import argparse
from typing import Any

from tuneglm.command_line import add_command
from tuneglm.original.house import TOOL

TEXT = (
    f"Write a run file from arguments of {TOOL}, of the official ptuning scripts, a script with "
    "them, or a YAML file of LLaMA-Factory; remarks say what differs."
)


def import_config(given: argparse.Namespace) -> int:
    """Print it."""
    if not given.words or given.words[0] in ("-h", "--help"):
        print(given.help())
        return 0
    from tuneglm.original.importing import imported, run_file_of

    print(run_file_of(imported(given.words)), end="")
    return 0


def add_import_config(commands: Any, name: str) -> None:
    """The command; whatever is typed behind it, also with dashes, is what is imported."""
    parser = add_command(
        commands,
        name,
        import_config,
        TEXT,
        epilog="examples:\n  tuneglm import-config llama_factory.yaml > run.yaml\n"
        "  tuneglm import-config examples/finetune.sh > run.yaml\n"
        "  tuneglm import-config --do_train --dataset alpaca_zh --output_dir out > run.yaml",
        # no word is an option of this command
        prefix_chars="\0",
        add_help=False,
    )
    parser.add_argument("words", nargs="*", metavar="FILE | ARGUMENTS", help="a file, or arguments")
    parser.set_defaults(help=parser.format_help)
