"""The command `tuneglm chat`: what may be typed behind it."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tuneglm.command_line import (
    add_command,
    add_fields,
    add_loading,
    importing,
    loading_of,
    no_bars,
)
from tuneglm.config import ChatConfig, chat_config
from tuneglm.errors import ConfigError

EXAMPLES = """examples:
  tuneglm chat OUT                                   talk to what a run made
  tuneglm chat OUT --compare base                    beside the model that it was made of
  tuneglm chat OUT1 OUT2                             two results beside each other
  tuneglm chat OUT --prompt-file rows.jsonl          answers to all rows, in rows-answers.jsonl"""


def chat(given: argparse.Namespace) -> int:
    """Talk to a model, to several at once, or have a file of questions answered."""
    config = chat_config({name: getattr(given, name) for name in ChatConfig.model_fields})
    if given.output is not None and given.prompt_file is None:
        raise ConfigError(
            f"`--output {given.output}` is for the answers to a file of questions.",
            "name it: --prompt-file rows.jsonl; what is said here is written by /save FILE",
        )
    no_bars()
    with importing():
        from tuneglm.chat import chat
        from tuneglm.chat.answers_file import answers_file
        from tuneglm.chat.prompt_file import answer_all
        from tuneglm.chat.questions import questions_of
        from tuneglm.chat.voices import Asked, voices_of
        from tuneglm.checkpoints import run_within

    file = None if given.prompt_file is None else Path(given.prompt_file).expanduser()
    # before the model is loaded, which takes longer
    questions = [] if file is None else questions_of(file)
    asked = Asked(
        [str(run_within(path)) for path in given.path],
        _adapters(given.adapter),
        given.compare,
        loading_of(given),
    )
    voices = voices_of(asked)
    if file is None:
        chat(voices, config)
        return 0
    answers = answers_file(file, given.output)
    answer_all(voices, config, questions, answers)
    print(f"Saved  {answers}: the answer to each row")
    return 0


def _adapters(given: Sequence[str]) -> Sequence[str] | dict[str, str]:
    """`--adapter`, each with a name to choose it by, or none of them."""
    named = [word.partition("=")[::2] for word in given if "=" in word and not Path(word).is_dir()]
    if not named:
        return given
    names = [name for name, _ in named]
    if len(named) < len(given) or len(set(names)) < len(names) or "" in names:
        raise ConfigError(
            f"`--adapter {' --adapter '.join(given)}` does not give each a name of its own.",
            "name each (--adapter NAME=FOLDER) to choose between them, or none to add them all",
        )
    return dict(named)


def add_chat(commands: Any, name: str) -> None:
    """Its parser."""
    parser = add_command(
        commands,
        name,
        chat,
        "Talk to a model, or to what a run made of it; to two, to compare them.",
        epilog=EXAMPLES,
    )
    parser.add_argument(
        "path",
        nargs="+",
        help="output folder of a run, model folder, or id of the hub; several answer each question "
        "side by side",
    )
    parser.add_argument(
        "--adapter",
        action="append",
        default=[],
        help="folder of trained parts: LoRA, a P-tuning prefix, weights alone; repeatable. As "
        "NAME=FOLDER `/adapter NAME` lets that one answer, `/adapter base` the model alone",
    )
    parser.add_argument(
        "--compare",
        choices=("base",),
        help="base: let the model without what was trained answer beside it",
    )
    parser.add_argument(
        "--prompt-file",
        metavar="FILE",
        help="answer the rows of a file: any format that data.train reads, {prompt: …} or lines "
        "of text; the same command goes on where it was stopped",
    )
    parser.add_argument(
        "--output", metavar="FILE", help="where these answers go (FILE-answers.jsonl beside it)"
    )
    add_loading(parser)
    add_fields(parser, ChatConfig)
