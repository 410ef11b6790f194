"""What the commands share: their parser, the settings they take, help drawn from the options."""

import argparse
import difflib
import gc
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, get_args

from tuneglm.config import RunConfig, load_config, options
from tuneglm.errors import ConfigError
from tuneglm.section import Section
from tuneglm.trainer_options import trainer_options

USER_ERROR = 2
# how much alike a word and an option are that may be meant by it
NEAR = 0.75
# how a model is loaded: options of every command that asks one something
LOADING = ("family", "dtype", "bits", "device")


class Parser(argparse.ArgumentParser):
    """Errors in our form: a sentence, the nearest known word, exit code 2."""

    def error(self, message: str, hint: str | None = None) -> NoReturn:
        """Say it, and leave."""
        print(f"Error: {message}\n  hint: {hint or f'{self.prog} --help'}", file=sys.stderr)
        sys.exit(USER_ERROR)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """As argparse does it; an option that is none is said by the command that was typed."""
        given, rest = super().parse_known_args(args, namespace)
        unknown = next((word for word in rest if word.startswith("-")), None)
        if unknown is not None:
            self.error(f"unrecognized arguments: {' '.join(rest)}", self._meant(unknown))
        return given, rest

    def _meant(self, word: str) -> str | None:
        """The option that is spelled much like a word, or the setting that it is of a run."""
        name, _, value = word.lstrip("-").partition("=")
        near = difflib.get_close_matches(f"--{name}", list(self._option_string_actions), 1, NEAR)
        if near:
            return f"did you mean `{near[0]}`?"
        if not any(action.dest == "settings" for action in self._actions):
            return None
        known = [option.name for option in options()]
        known += [f"training.{key}" for key in trainer_options()]
        wanted = name.replace("-", "_").rpartition(".")[2]
        found = next((key for key in known if key.rpartition(".")[2] == wanted), None)
        return found and f"settings are written without dashes: {found}={value or 'VALUE'}"

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        choices = action.choices
        if choices is None or value in choices or not isinstance(action.choices, dict):
            super()._check_value(action, value)
            return
        near = difflib.get_close_matches(value, list(choices), n=1)
        known = f"did you mean `{near[0]}`?" if near else f"commands: {', '.join(choices)}"
        print(f"Error: There is no command `{value}`.\n  hint: {known}", file=sys.stderr)
        sys.exit(USER_ERROR)


def add_command(
    commands: Any, name: str, run: Callable[..., int], text: str, **options: Any
) -> Any:
    """A command's own parser; `run` is what it does."""
    parser = commands.add_parser(
        name,
        help=text,
        description=text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        **options,
    )
    parser.set_defaults(run=run)
    return parser


def add_settings(
    parser: argparse.ArgumentParser, example: str, *, names: str = "RUN.yaml", words: str = ""
) -> None:
    """The run file, overrides, or both; `words` says what else may be given."""
    parser.add_argument(
        "settings",
        nargs="*",
        metavar=f"{names} | SECTION.KEY=VALUE",
        help=words or "a run file, overrides, or both",
    )
    parser.set_defaults(example=example)


def split_settings(given: argparse.Namespace) -> tuple[Sequence[str], Sequence[str]]:
    """(names of files, overrides); raises ConfigError where there is neither."""
    if not given.settings:
        raise ConfigError(
            "There is nothing to do: no run file and no overrides.", f"tuneglm {given.example}"
        )
    if "" in given.settings:
        raise ConfigError(
            "One of the words is empty.", "a variable of the shell that is not set is nothing"
        )
    files = [setting for setting in given.settings if "=" not in setting]
    overrides = [setting for setting in given.settings if "=" in setting]
    _refuse_second_list(overrides)
    return files, overrides


def _refuse_second_list(overrides: Sequence[str]) -> None:
    """Of an option given twice the later counts; of two that name sets, both were meant."""
    for key in ("data.train", "data.evaluation"):
        given = [one.removeprefix(f"{key}=") for one in overrides if one.startswith(f"{key}=")]
        if len(given) > 1:
            raise ConfigError(
                f"`{key}` is given twice: `{given[0]}` and `{given[1]}`.",
                f"give it once, several sets as one list: {key}=[A, B]",
            )


def given_config(given: argparse.Namespace) -> tuple[Path | None, RunConfig]:
    """The run file, if one was named, and the config that it gives with the overrides."""
    files, overrides = split_settings(given)
    run_file = only_run_file(files)
    return run_file, load_config(run_file, overrides)


def only_run_file(files: Sequence[str]) -> Path | None:
    """The run file of a command; raises ConfigError for a second one."""
    if len(files) > 1:
        raise ConfigError(
            f"`{files[1]}` is a second run file.", "overrides are written section.key=value"
        )
    return Path(files[0]) if files else None


def count_of(what: str) -> Callable[[str], int]:
    """A type of argparse: how many of them, 1 or more."""

    def count(text: str) -> int:
        if not text.isdecimal() or int(text) == 0:
            raise argparse.ArgumentTypeError(f"`{text}` is not a number of {what}: 1 or more")
        return int(text)

    return count


def add_family(parser: argparse.ArgumentParser) -> None:
    """`--family`, of whatever model a command takes."""
    parser.add_argument("--family", help="family of the model; guessed when left out")


def add_loading(parser: argparse.ArgumentParser) -> None:
    """The options in LOADING."""
    add_family(parser)
    parser.add_argument("--dtype", help="auto, float32, bfloat16 or float16")
    parser.add_argument(
        "--bits", type=int, choices=(16, 8, 4), help="hold the weights in so many bits"
    )
    parser.add_argument("--device", help="cuda, cpu …; the GPU if there is one")


def loading_of(given: argparse.Namespace) -> dict[str, Any]:
    """What was said of them, as `ChatModel` takes it."""
    return {name: getattr(given, name) for name in LOADING}


def add_fields(
    parser: argparse.ArgumentParser,
    section: type[Section],
    names: Sequence[str] = (),
    defaults: Mapping[str, Any] | None = None,
) -> None:
    """An option for each field of a section, or for the named ones; docstrings are their help.

    defaults  what takes the place of the section's own
    """
    for name in names or section.model_fields:
        field = section.model_fields[name]
        option, default = f"--{name.replace('_', '-')}", field.default
        if defaults is not None:
            default = defaults.get(name, default)
        if field.annotation is bool:
            parser.add_argument(option, action="store_true", help=field.description)
            continue
        shown = "" if default in (None, "") else f" ({default})"
        parser.add_argument(
            option,
            type=_plain(field.annotation),
            default=default,
            metavar=name.rpartition("_")[2].upper(),
            help=f"{field.description}{shown}".replace("%", "%%"),
        )


def _plain(kind: Any) -> Any:
    """The kind of a value without its bounds, and without None beside it."""
    while kinds := [each for each in get_args(kind) if each is not type(None)]:
        kind = kinds[0]
    return kind


def options_help(*sections: str) -> str:
    """The options of a run in these sections, each with its default and its docstring."""
    lines = []
    for option in (option for option in options() if option.name.startswith(sections)):
        lines.append(f"  {option.name}" + ("" if option.required else f" ({option.default})"))
        lines += textwrap.wrap(option.text, 76, initial_indent=" " * 6, subsequent_indent=" " * 6)
    return "\n".join(lines)


@contextmanager
def importing() -> Iterator[None]:
    """What is imported stays: no search for garbage goes through it, now or later.

    Without it a run of two steps took 7.7 seconds of the processor's time, and 6.3 with it.
    """
    known, was_on = len(sys.modules), gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        # where all was imported before, what there is now may be a caller's, and is to be let go
        if len(sys.modules) > known:
            gc.freeze()
        if was_on:
            gc.enable()


def no_bars() -> None:
    """No bars for reading and writing weights; importing transformers takes its time, so late."""
    with importing():
        from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
