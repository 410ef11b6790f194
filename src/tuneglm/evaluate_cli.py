"""The command `tuneglm evaluate`."""

import argparse
from typing import Any

from tuneglm.command_line import (
    add_command,
    add_fields,
    add_loading,
    count_of,
    importing,
    loading_of,
    no_bars,
)
from tuneglm.config import ChatConfig, chat_config

# how answers are drawn, `system` is each row's own; and what is other than in a chat
DRAWN_BY = ("max_new_tokens", "temperature", "top_p", "repetition_penalty", "seed")
DEFAULTS = {"max_new_tokens": 256, "temperature": 0.0, "seed": 0}
EXAMPLES = """examples:
  tuneglm evaluate OUT --base
  tuneglm evaluate OUT --data held.json alpaca_gpt4_zh --rows 100 --base
  tuneglm evaluate OUT --suite ceval=data/ceval --shots 5"""


def evaluate(given: argparse.Namespace) -> int:
    """Say how good a model is."""
    from tuneglm.evaluation.wanted import Wanted
    from tuneglm.reports.evaluation_words import language_of_locale

    wanted = Wanted(
        given.path,
        data=None if given.data is None else tuple(given.data),
        probes=None if given.probes is None else tuple(given.probes),
        suites=tuple(given.suite),
        base=given.base,
        rows=given.rows,
        questions=given.questions,
        answers=not given.no_answers,
        drawing=chat_config({name: getattr(given, name) for name in DRAWN_BY}),
        batch=given.batch,
        shots=given.shots,
        chat=given.chat,
        output=given.output,
        adapters=tuple(given.adapter),
        dir=given.dir,
        language=given.language or language_of_locale(),
        **loading_of(given),
    )
    no_bars()
    with importing():
        from tuneglm.evaluation.evaluate import evaluate

    evaluate(wanted)
    return 0


def add_evaluate(commands: Any, name: str) -> None:
    """Its options."""
    parser = add_command(
        commands,
        name,
        evaluate,
        "Say how good a model is: loss, BLEU and ROUGE of its answers, questions about who it is, "
        "published suites; beside its base. With no option, on what a run has: the rows that it "
        "kept for evaluation, and its questions.",
        epilog=EXAMPLES,
    )
    parser.add_argument(
        "path", help="output folder of a run, a folder with one run, model folder, or id of the hub"
    )
    _add_matter(parser)
    _add_drawing(parser)
    parser.add_argument("--output", metavar="FOLDER", help="for the report (PATH/evaluation)")
    parser.add_argument(
        "--language", choices=("zh", "en"), help="of the report's page and picture (the terminal's)"
    )
    parser.add_argument("--adapter", action="append", default=[], help="folder of trained parts")
    add_loading(parser)


def _add_matter(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data",
        nargs="*",
        action="extend",
        metavar="SET",
        help="names and files of sets; with none, the rows that the run kept",
    )
    parser.add_argument(
        "--probes",
        nargs="*",
        action="extend",
        metavar="FILE",
        help="files of questions, as `tuneglm data identity` writes them; with none, the run's own",
    )
    parser.add_argument(
        "--suite",
        action="append",
        default=[],
        metavar="NAME[=FOLDER]",
        help="ceval, cmmlu or mmlu from local files (DIR/NAME); repeatable",
    )
    parser.add_argument("--base", action="store_true", help="evaluate the base beside it")
    parser.add_argument(
        "--rows", type=count_of("rows"), default=500, help="of each set at most so many (500)"
    )
    parser.add_argument(
        "--questions",
        type=count_of("questions"),
        default=20,
        help="of each kind at most so many (20)",
    )
    parser.add_argument(
        "--no-answers", action="store_true", help="of sets the loss alone, which is quick"
    )
    parser.add_argument(
        "--shots", type=_shots, default=5, help="examples before each question of a suite (5)"
    )
    parser.add_argument(
        "--chat", action="store_true", help="ask a suite in the model's own chat form"
    )
    parser.add_argument("--dir", help="folder of data (the run's, or data)")


def _add_drawing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--batch", type=count_of("prompts"), default=16, help="prompts answered at once (16)"
    )
    add_fields(parser, ChatConfig, DRAWN_BY, DEFAULTS)


def _shots(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"`{text}` is not a number of examples: 0 or more")
    return int(text)
