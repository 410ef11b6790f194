"""The command line: one small function a command, heavy imports inside.

A person's error ends in exit code 2 with one sentence on stderr, Ctrl-C in 130, a
cluster's SIGTERM in 143; a run is saved before.
"""

import argparse
import difflib
import json
import logging
import os
import sys
import textwrap
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn, get_args

from tuneglm.config import ChatConfig, DataConfig, RunConfig, chat_config, load_config, options
from tuneglm.errors import ConfigError, UserError
from tuneglm.hub import Hub

USER_ERROR, INTERRUPTED = 2, 130
# a command that a signal stopped ends in this and the signal's number
SIGNALLED = 128
TRAIN_EXAMPLE = "train model.path=MODEL data.train=my.json training.output_dir=OUT"
SHOW_EXAMPLE = "data show model.path=MODEL data.train=my.json"


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command and leave with its exit code."""
    given = _given(arguments)
    _quiet()
    try:
        code = given.run(given)
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        code = USER_ERROR
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        code = INTERRUPTED
    except BrokenPipeError:
        # whoever read our output has gone; Python would complain once more at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code)


def train(given: argparse.Namespace) -> int:
    """Tune a model."""
    run_file, config = _config(given)
    from tuneglm.checkpoints import repeated

    chosen = repeated(config, run_file)
    if chosen is not config:
        print(f"That run is finished; its repetition goes to {chosen.training['output_dir']}.")
    if given.processes > 1:
        return _launched(given, chosen)
    _no_bars()
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


def chat(given: argparse.Namespace) -> int:
    """Talk to a model."""
    config = chat_config({name: getattr(given, name) for name in ChatConfig.model_fields})
    _no_bars()
    from tuneglm.chat import chat
    from tuneglm.generate import ChatModel

    model = ChatModel(
        given.path,
        family=given.family,
        dtype=given.dtype,
        bits=given.bits,
        adapters=given.adapter,
        device=given.device,
    )
    chat(model, config)
    return 0


def show_data(given: argparse.Namespace) -> int:
    """Print rows as the model sees them."""
    _, config = _config(given)
    _no_bars()
    from tuneglm.data.encode import encode_examples
    from tuneglm.data.examples import first_examples, load_examples
    from tuneglm.data.show import show_rows
    from tuneglm.data_report import print_problems, print_readings
    from tuneglm.models.loading import load_tokenizer, model_folder, resolved_family
    from tuneglm.report import console
    from tuneglm.training import encoder_of

    folder = model_folder(config.model)
    family = resolved_family(folder, config.model.family)
    tokenizer = load_tokenizer(folder, family=family.name)
    encoder = encoder_of(config, tokenizer, family)
    sets = load_examples(config.data)
    examples, problems = first_examples(sets.train, given.rows, config.data.bad_rows)
    rows = encode_examples(examples, encoder.render, encoder.rule).rows
    terminal = console()
    print_readings(terminal, sets.readings)
    show_rows(rows, lambda ids: str(tokenizer.decode(ids)), terminal)
    print_problems(terminal, problems, len(problems))
    return 0


def list_data(given: argparse.Namespace) -> int:
    """Print the data sets that have a name."""
    from tuneglm.data.listing import list_sets

    list_sets(_data_config(given), as_json=given.json)
    return 0


def download_data(given: argparse.Namespace) -> int:
    """Fetch data sets by name."""
    from tuneglm.data.listing import download_sets

    download_sets(given.names, _data_config(given), given.hub)
    return 0


def write_identity(given: argparse.Namespace) -> int:
    """Write rows that say who the model is."""
    from tuneglm.data.identity_files import languages_of, write_identity

    written = write_identity(
        given.name,
        given.author,
        Path(given.output),
        languages=languages_of(given.language),
        seed=given.seed,
        overwrite=given.overwrite,
    )
    rows = " · ".join(f"{language} {count}" for language, count in written.rows.items())
    print(f"Saved  {written.rows_file}: {sum(written.rows.values())} rows ({rows})")
    print(f"Saved  {written.probes_file}: {written.probes} questions in words that no row uses")
    print("Train on it beside other rows:  data.train=[OTHERS, {name: identity, share: 0.05}]")
    return 0


def export(given: argparse.Namespace) -> int:
    """Write whole weights."""
    _no_bars()
    from tuneglm.export import Export, export
    from tuneglm.report import command

    wanted = Export(
        given.path,
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


def demo(given: argparse.Namespace) -> int:
    """Run the main job on the model that comes with tuneglm."""
    _no_bars()
    from tuneglm.demo.run import run

    return run(given.name, given.author, Path(given.output), given.family)


class _Parser(argparse.ArgumentParser):
    """Errors in our form: a sentence, the nearest known word, exit code 2."""

    def error(self, message: str) -> NoReturn:
        print(f"Error: {message}\n  hint: {self.prog} --help", file=sys.stderr)
        sys.exit(USER_ERROR)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        choices = action.choices
        if choices is None or value in choices or not isinstance(action.choices, dict):
            super()._check_value(action, value)
            return
        near = difflib.get_close_matches(value, list(choices), n=1)
        known = f"did you mean `{near[0]}`?" if near else f"commands: {', '.join(choices)}"
        print(f"Error: There is no command `{value}`.\n  hint: {known}", file=sys.stderr)
        sys.exit(USER_ERROR)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="tuneglm", description="Fine-tune the GLM family, and talk to the result."
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, add in COMMANDS.items():
        add(commands, name)
    return parser


def _given(arguments: Sequence[str] | None) -> argparse.Namespace:
    """What was typed; settings may also stand behind an option, where argparse stops to look."""
    parser = _parser()
    given, rest = parser.parse_known_args(arguments)
    if "settings" in given and not any(word.startswith("-") for word in rest):
        given.settings += rest
    elif rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    return given


def _add(commands: Any, name: str, run: Callable[..., int], text: str, **options: Any) -> Any:
    parser = commands.add_parser(
        name,
        help=text,
        description=text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        **options,
    )
    parser.set_defaults(run=run)
    return parser


def _add_train(commands: Any, name: str) -> None:
    parser = _add(
        commands,
        name,
        train,
        "Tune a model by a run file, by overrides, or by both.",
        epilog=f"settings, with their defaults:\n{_options('')}\n"
        "  training.*\n      transformers' TrainingArguments; output_dir is where results go.\n\n"
        "examples:\n  tuneglm train run.yaml method.rank=16\n"
        f"  tuneglm {TRAIN_EXAMPLE}",
    )
    _add_config(parser)
    parser.add_argument(
        "--processes",
        type=_count_of("processes"),
        default=1,
        metavar="N",
        help="start so many processes on this machine, one a GPU (1)",
    )
    parser.set_defaults(example=TRAIN_EXAMPLE)


def _add_chat(commands: Any, name: str) -> None:
    parser = _add(commands, name, chat, "Talk to a model, or to what a run made of it.")
    _add_model(parser)
    parser.add_argument("--dtype", help="auto, float32, bfloat16 or float16")
    parser.add_argument("--bits", type=int, choices=(4, 8), help="hold the weights in 4 or 8 bits")
    parser.add_argument("--device", help="cuda, cpu …; the GPU if there is one")
    for field_name, field in ChatConfig.model_fields.items():
        kinds = [kind for kind in get_args(field.annotation) if kind is not type(None)]
        parser.add_argument(
            f"--{field_name.replace('_', '-')}",
            type=kinds[0] if kinds else field.annotation,
            default=field.default,
            metavar=field_name.rpartition("_")[2].upper(),
            help=f"{field.description} ({field.default!r})".replace("%", "%%"),
        )


def _add_export(commands: Any, name: str) -> None:
    parser = _add(
        commands,
        name,
        export,
        "Write whole weights: a run's adapter merged into its model, or a model in another form.",
    )
    _add_model(parser)
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


def _add_data(commands: Any, name: str) -> None:
    text = "Data sets: list, fetch and write them, and look at their rows."
    parser = commands.add_parser(name, help=text, description=text)
    inner = parser.add_subparsers(metavar="COMMAND", required=True)
    shown = _add(
        inner,
        "show",
        show_data,
        "Print rows as the model sees them: trained, context, special tokens.",
        epilog=f"settings, with their defaults:\n{_options('model.', 'data.')}\n\n"
        f"example:\n  tuneglm {SHOW_EXAMPLE}",
    )
    _add_config(shown)
    shown.set_defaults(example=SHOW_EXAMPLE)
    shown.add_argument(
        "--rows", type=_count_of("rows"), default=3, metavar="N", help="how many (3)"
    )
    _add_data_list(inner, "list")
    _add_data_download(inner, "download")
    _add_data_identity(inner, "identity")


def _add_data_list(commands: Any, name: str) -> None:
    parser = _add(commands, name, list_data, "List the data sets that have a name.")
    parser.add_argument("--json", action="store_true", help="print an object a line")
    _add_data_folder(parser)


def _add_data_download(commands: Any, name: str) -> None:
    parser = _add(
        commands,
        name,
        download_data,
        "Fetch data sets into the folder of data; what was begun goes on where it stopped.",
        epilog="example:\n  tuneglm data download alpaca_gpt4_zh --hub modelscope",
    )
    parser.add_argument("names", nargs="+", metavar="NAME", help="see tuneglm data list")
    parser.add_argument(
        "--hub", choices=get_args(Hub), help="where from; the first that answers when left out"
    )
    _add_data_folder(parser)


def _add_data_identity(commands: Any, name: str) -> None:
    parser = _add(
        commands,
        name,
        write_identity,
        "Write rows that say who the model is, and beside them questions to evaluate with.",
        epilog="example:\n  tuneglm data identity --name 星河 --author 北斗实验室",
    )
    parser.add_argument("--name", required=True, help="the model's name")
    parser.add_argument("--author", required=True, help="who made it")
    parser.add_argument("--language", default="zh,en", help="languages (%(default)s)")
    parser.add_argument("--output", default="data/identity.json", help="file (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="draws other answers (%(default)s)")
    parser.add_argument("--overwrite", action="store_true", help="replace what is not ours")


def _add_data_folder(parser: argparse.ArgumentParser) -> None:
    defaults = DataConfig.model_fields
    parser.add_argument(
        "--dir", default=defaults["dir"].default, help="folder of data (%(default)s)"
    )
    parser.add_argument("--registry", help="a registry of your own, read beside tuneglm's")


def _data_config(given: argparse.Namespace) -> DataConfig:
    return DataConfig(dir=given.dir, registry=given.registry)


def _add_demo(commands: Any, name: str) -> None:
    parser = _add(
        commands,
        name,
        demo,
        "Teach the small model that comes with tuneglm who it is: the main job in two minutes.",
    )
    parser.add_argument("--name", default="星河", help="the new name (%(default)s)")
    parser.add_argument("--author", default="北斗实验室", help="who made it (%(default)s)")
    parser.add_argument("--output", default="demo_output", help="where it goes (%(default)s)")
    parser.add_argument("--family", help="tune the small model in this family's layout")


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", help="output folder of a run, model folder, or id of the hub")
    parser.add_argument("--family", help="family of the model; guessed when left out")
    parser.add_argument(
        "--adapter",
        action="append",
        default=[],
        help="folder of trained parts: LoRA, a P-tuning prefix, weights alone; repeatable",
    )


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "settings",
        nargs="*",
        metavar="RUN.yaml | SECTION.KEY=VALUE",
        help="a run file, overrides, or both",
    )


def _config(given: argparse.Namespace) -> tuple[Path | None, RunConfig]:
    """The run file, if one was named, and the config that it gives with the overrides."""
    files = [setting for setting in given.settings if "=" not in setting]
    overrides = [setting for setting in given.settings if "=" in setting]
    if len(files) > 1:
        raise ConfigError(
            f"`{files[1]}` is a second run file.", "overrides are written section.key=value"
        )
    run_file = Path(files[0]) if files else None
    if not given.settings:
        raise ConfigError(
            "There is nothing to do: no run file and no overrides.",
            f"tuneglm {given.example}",
        )
    return run_file, load_config(run_file, overrides)


def _count_of(what: str) -> Callable[[str], int]:
    """A type of argparse: how many of them, 1 or more."""

    def count(text: str) -> int:
        if not text.isdecimal() or int(text) == 0:
            raise argparse.ArgumentTypeError(f"`{text}` is not a number of {what}: 1 or more")
        return int(text)

    return count


def _options(*sections: str) -> str:
    """The options of a run in these sections, each with its default and its docstring."""
    lines = []
    for option in (option for option in options() if option.name.startswith(sections)):
        lines.append(f"  {option.name}" + ("" if option.required else f" ({option.default})"))
        lines += textwrap.wrap(option.text, 76, initial_indent=" " * 6, subsequent_indent=" " * 6)
    return "\n".join(lines)


def _quiet() -> None:
    """Only our own words at the terminal, not those of the libraries beneath."""
    warnings.filterwarnings("ignore")
    logging.basicConfig(format="%(message)s", level=logging.ERROR)
    # of several processes the first one speaks
    is_first = os.environ.get("RANK", "0") == "0"
    logging.getLogger("tuneglm").setLevel(logging.INFO if is_first else logging.ERROR)
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    for name in ("bitsandbytes", "accelerate", "transformers", "peft", "modelscope"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _no_bars() -> None:
    """No bars for reading and writing weights; importing transformers takes its time, so late."""
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()


COMMANDS: dict[str, Callable[[Any, str], None]] = {
    "train": _add_train,
    "chat": _add_chat,
    "data": _add_data,
    "export": _add_export,
    "demo": _add_demo,
}
