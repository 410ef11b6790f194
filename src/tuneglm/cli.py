"""The command line: one small function a command, heavy imports inside.

A person's error ends in exit code 2 with one sentence on stderr, Ctrl-C in 130, a
cluster's SIGTERM in 143 (a run is saved before), a reader who has gone in 141.
"""

import argparse
import json
import logging
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from tuneglm.api_cli import add_serve
from tuneglm.chat_cli import add_chat
from tuneglm.command_line import (
    USER_ERROR,
    Parser,
    add_command,
    add_settings,
    count_of,
    given_config,
    importing,
    no_bars,
    options_help,
)
from tuneglm.config import RunConfig
from tuneglm.data_cli import add_data
from tuneglm.doctor_cli import add_doctor
from tuneglm.errors import ConfigError, UserError
from tuneglm.evaluate_cli import add_evaluate
from tuneglm.export_cli import add_export
from tuneglm.import_cli import add_import_config
from tuneglm.web_cli import add_web

INTERRUPTED = 130
# a command that a signal stopped ends in this and the signal's number
SIGNALLED = 128
# SIGPIPE, by number: not every system has the name
BROKEN_PIPE = 13
TRAIN_EXAMPLE = "train model.path=MODEL data.train=my.json training.output_dir=OUT"
PLAN_EXAMPLE = "plan model.path=OWNER/NAME method=lora --memory 24GB"


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command and leave with its exit code."""
    leave_with(lambda: _run(_given(arguments)))


def _run(given: argparse.Namespace) -> int:
    code: int = given.run(given)
    return code


def leave_with(run: Callable[[], int]) -> NoReturn:
    """Do it, and leave with the exit code that it or its error has."""
    _quiet()
    try:
        code = run()
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        code = USER_ERROR
    except PermissionError as error:
        # of whatever file a command names; those that ask for more say it in their own words
        place = f"`{error.filename}`: " if error.filename else ""
        print(f"Error: {place}{error.strerror}.", file=sys.stderr)
        print("  hint: take the right to it (chmod, chown), or name another place", file=sys.stderr)
        code = USER_ERROR
    except KeyboardInterrupt as stopped:
        print(f"\nStopped. {stopped}".rstrip(), file=sys.stderr)
        code = INTERRUPTED
    except BrokenPipeError:
        # whoever read our output has gone; Python would complain once more at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = SIGNALLED + BROKEN_PIPE
    _leave(code)


def _leave(code: int) -> NoReturn:
    """Python's own end waits for threads that wait for other processes, and can break on them."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def train(given: argparse.Namespace) -> int:
    """Tune a model."""
    run_file, config = given_config(given)
    from tuneglm.checkpoints import refuse_taken, repeated

    chosen = repeated(config, run_file)
    if chosen is not config:
        print(f"That run is finished; its repetition goes to {chosen.training['output_dir']}.")
    # before torch is imported, which takes seconds
    refuse_taken(chosen)
    if given.processes > 1:
        return _launched(given, chosen)
    no_bars()
    with importing():
        from tuneglm.training import train

    result = train(chosen)
    return SIGNALLED + result.stopped_by if result.stopped_by else 0


def _launched(given: argparse.Namespace, config: RunConfig) -> int:
    """The same command in several processes."""
    from tuneglm.launch import launch

    if "WORLD_SIZE" in os.environ:
        raise ConfigError(
            f"`--processes {given.processes}` is asked of one of several processes.",
            "leave it out where torchrun or accelerate starts them",
        )
    # a folder beside a finished run's is chosen once, for all
    folder = json.dumps(config.training.get("output_dir"), ensure_ascii=False)
    return launch(["train", *given.settings, f"training.output_dir={folder}"], given.processes)


def plan(given: argparse.Namespace) -> int:
    """Say whether a run will fit."""
    _, config = given_config(given)
    no_bars()
    with importing():
        from tuneglm.plan.capacity import size_of
        from tuneglm.plan.planning import plan
        from tuneglm.reports.plan import plan_json, print_plan
        from tuneglm.reports.terminal import console

    if not (given.brief or given.json):
        print(
            "Looking for the largest batch and for other choices, which take the most time; "
            "--brief leaves them out.",
            file=sys.stderr,
        )
    memory = None if given.memory is None else size_of(given.memory)
    planned = plan(
        config,
        memory=memory,
        device=given.device,
        processes=given.processes,
        choices=not given.brief,
    )
    if given.json:
        print(plan_json(planned))
    else:
        print_plan(console(), planned)
    return 0


def demo(given: argparse.Namespace) -> int:
    """Run the main job on the model that comes with tuneglm."""
    no_bars()
    with importing():
        from tuneglm.demo.run import run

    return run(given.name, given.author, Path(given.output), given.family)


class _Version(argparse.Action):
    """Says the release; looked for when it is asked for, since that takes time."""

    def __call__(self, *_: object) -> NoReturn:
        import tuneglm

        print(f"tuneglm {tuneglm.__version__}")
        raise SystemExit(0)


def command_parser() -> argparse.ArgumentParser:
    """Every command, with what may be typed behind it."""
    parser = Parser(prog="tuneglm", description="Fine-tune the GLM family, and talk to the result.")
    parser.add_argument("--version", action=_Version, nargs=0, help="say which release this is")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, add in COMMANDS.items():
        add(commands, name)
    return parser


def _given(arguments: Sequence[str] | None) -> argparse.Namespace:
    """What was typed; settings may also stand behind an option, where argparse stops to look."""
    parser = command_parser()
    given, rest = parser.parse_known_args(arguments)
    if "settings" in given and not any(word.startswith("-") for word in rest):
        given.settings += rest
    elif rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    return given


def _add_train(commands: Any, name: str) -> None:
    parser = add_command(
        commands,
        name,
        train,
        "Tune a model by a run file, by overrides, or by both.",
        epilog=f"settings, with their defaults:\n{options_help('')}\n"
        "  training.*\n      transformers' TrainingArguments; output_dir is where results go.\n\n"
        "examples:\n  tuneglm train run.yaml method.rank=16\n"
        f"  tuneglm {TRAIN_EXAMPLE}",
    )
    add_settings(parser, TRAIN_EXAMPLE)
    parser.add_argument(
        "--processes",
        type=count_of("processes"),
        default=1,
        metavar="N",
        help="start so many processes on this machine, one a GPU (1)",
    )


def _add_plan(commands: Any, name: str) -> None:
    parser = add_command(
        commands,
        name,
        plan,
        "Will it fit? Memory and time of a run, from config.json alone; takes what train takes.",
        epilog=f"examples:\n  tuneglm {PLAN_EXAMPLE}\n  tuneglm plan run.yaml model.bits=4 --json",
    )
    add_settings(parser, PLAN_EXAMPLE)
    parser.add_argument("--json", action="store_true", help="print one object; sizes in bytes")
    parser.add_argument(
        "--brief",
        action="store_true",
        help="without the largest batch and other choices: much sooner",
    )
    parser.add_argument(
        "--memory",
        metavar="SIZE",
        help="plan for so much memory, such as 8GB, in place of what is here: a GPU's, or with "
        "--device cpu a machine's",
    )
    parser.add_argument("--device", help="cuda or cpu; the GPU if there is one")
    parser.add_argument(
        "--processes",
        type=count_of("processes"),
        default=1,
        metavar="N",
        help="what one of so many processes takes, as training.fsdp or training.deepspeed "
        "divides the model (1)",
    )


def _add_demo(commands: Any, name: str) -> None:
    parser = add_command(
        commands,
        name,
        demo,
        "Teach the small model that comes with tuneglm who it is: the main job in two minutes.",
    )
    parser.add_argument("--name", default="星河", help="the new name (%(default)s)")
    parser.add_argument("--author", default="北斗实验室", help="who made it (%(default)s)")
    parser.add_argument("--output", default="demo_output", help="where it goes (%(default)s)")
    parser.add_argument("--family", help="tune the small model in this family's layout")


def _quiet() -> None:
    """Only our own words at the terminal, not those of the libraries beneath."""
    warnings.filterwarnings("ignore")
    logging.basicConfig(format="%(message)s", level=logging.ERROR)
    # of several processes the first one speaks
    is_first = os.environ.get("RANK", "0") == "0"
    logging.getLogger("tuneglm").setLevel(logging.INFO if is_first else logging.ERROR)
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    # remarks on speed, of each process that torchrun starts
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    for name in ("bitsandbytes", "accelerate", "transformers", "peft", "modelscope"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


COMMANDS: dict[str, Callable[[Any, str], None]] = {
    "train": _add_train,
    "plan": _add_plan,
    "chat": add_chat,
    "serve": add_serve,
    "evaluate": add_evaluate,
    "data": add_data,
    "export": add_export,
    "demo": _add_demo,
    "web": add_web,
    "doctor": add_doctor,
    "import-config": add_import_config,
}
