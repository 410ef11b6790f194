"""The commands under `tuneglm data`: check sets, look at them, fetch and write them."""

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from tuneglm.command_line import (
    add_command,
    add_settings,
    count_of,
    no_bars,
    only_run_file,
    options_help,
    split_settings,
)
from tuneglm.config import DataRunConfig, load_config, load_data_config
from tuneglm.data_config import DataConfig
from tuneglm.errors import ConfigError
from tuneglm.hub import Hub

if TYPE_CHECKING:
    from tuneglm.models.encoder import ModelEncoder

RUN_FILES = (".yaml", ".yml")
# settings that bear on looking at data
LOOKED_AT_BY = ("model.path", "model.family", "model.hub", "model.revision", "data.")


def check_data(given: argparse.Namespace) -> int:
    """Look at every row; say what is wrong with it, and where."""
    config = load_data_config(*_settings(given))
    if given.png and config.model is None:
        raise ConfigError(
            "`--png` draws lengths in tokens, and no model is named.", "give model.path=MODEL"
        )
    _refuse_other_ending("--png", given.png, ".png")
    model = _model_encoder(config)
    from tuneglm.reports.check import report_check

    return report_check(config.data, model, as_json=given.json, png=given.png)


def stats_data(given: argparse.Namespace) -> int:
    """Say how much each set holds."""
    config = load_data_config(*_settings(given))
    model = _model_encoder(config)
    from tuneglm.reports.check import report_stats

    report_stats(config.data, model, as_json=given.json)
    return 0


def show_data(given: argparse.Namespace) -> int:
    """Print rows as the model sees them."""
    config = load_config(*_settings(given))
    _refuse_other_ending("--html", given.html, ".html")
    no_bars()
    from tuneglm.models.encoder import load_encoder
    from tuneglm.reports.show import Wanted, report_rows

    model = load_encoder(config.model, config.data)
    wanted = Wanted(given.rows, given.row, given.set, given.json, given.html)
    report_rows(config.data, model, wanted)
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
        Path(given.output or Path(given.dir) / "identity.json"),
        languages=languages_of(given.language),
        seed=given.seed,
        overwrite=given.overwrite,
    )
    rows = " · ".join(f"{language} {count}" for language, count in written.rows.items())
    for path in written.replaced:
        print(f"Note: `{path}` held another identity, and is replaced.")
    print(f"Saved  {written.rows_file}: {sum(written.rows.values())} rows ({rows})")
    print(f"Saved  {written.others_file}: {written.others} rows on other things")
    print(f"Saved  {written.probes_file}: {written.probes} questions in words that no row uses")
    is_named = written.rows_file == Path(DataConfig.model_fields["dir"].default, "identity.json")
    rows_of_it = "name: identity" if is_named else f"path: {written.rows_file}"
    sets = f"ROWS, {{{rows_of_it}, share: 0.05}}, {written.others_file}"
    print(f"Train on it beside other rows:  data.train=[{sets}]")
    return 0


def _model_encoder(config: DataRunConfig) -> "ModelEncoder | None":
    """The model's tokenizer and renderer, where a model is named."""
    if config.model is None:
        return None
    no_bars()
    from tuneglm.models.encoder import load_encoder

    return load_encoder(config.model, config.data)


def _refuse_other_ending(option: str, name: str | None, ending: str) -> None:
    """What is written replaces what was there: never a file of another kind."""
    if name is not None and Path(name).suffix.lower() != ending:
        raise ConfigError(
            f"`{option}` does not write into `{name}`.", f"give a name that ends with {ending}"
        )


def _settings(given: argparse.Namespace) -> tuple[Path | None, list[str]]:
    """The run file and overrides; other words are data, as in `data.train`."""
    words, overrides = split_settings(given)
    data = [word for word in words if not _is_run_file(word)]
    if not data:
        return only_run_file(words), [*overrides]
    for override in overrides:
        if override.startswith("data.train="):
            raise ConfigError(
                f"Both `{data[0]}` and `{override}` say what is read.", "give one of them"
            )
    asked = f"data.train={json.dumps(data, ensure_ascii=False)}"
    return only_run_file([word for word in words if word not in data]), [asked, *overrides]


def _is_run_file(word: str) -> bool:
    """By its name; folders of a run or a model are meant for one, which is then said."""
    path = Path(word)
    # whether a folder that may not be entered can be read, is said where its rows are wanted
    is_open = os.access(path, os.X_OK)
    holds_run = is_open and any((path / name).is_file() for name in ("run.yaml", "config.json"))
    return path.suffix.lower() in RUN_FILES or holds_run


def add_data(commands: Any, name: str) -> None:
    """All of them."""
    text = "Data sets: list, fetch and write them, check them, and look at their rows."
    parser = commands.add_parser(name, help=text, description=text)
    inner = parser.add_subparsers(metavar="COMMAND", required=True)
    for inner_name, add in COMMANDS.items():
        add(inner, inner_name)


def _add_data_check(commands: Any, name: str) -> None:
    parser = _add_look(
        commands,
        name,
        check_data,
        "Look at every row: what is wrong, in which line, and what to do. Lengths in tokens, where "
        "a model is named. Exit code 0 without a problem, 1 with one.",
        "data check my.jsonl",
    )
    parser.add_argument("--json", action="store_true", help="print a problem a line, all of them")
    parser.add_argument("--png", metavar="FILE", help="draw the lengths of rows into a picture")


def _add_data_stats(commands: Any, name: str) -> None:
    parser = _add_look(
        commands,
        name,
        stats_data,
        "Rows, tokens, trained tokens, turns, languages and kinds of each set.",
        "data stats model.path=MODEL data.train=my.json",
    )
    parser.add_argument("--json", action="store_true", help="print an object a set")


def _add_data_show(commands: Any, name: str) -> None:
    parser = _add_look(
        commands,
        name,
        show_data,
        "Print rows as the model sees them: trained, context, special tokens.",
        "data show model.path=MODEL data.train=my.json",
    )
    parser.add_argument(
        "--rows", type=count_of("rows"), default=3, metavar="N", help="how many (3)"
    )
    parser.add_argument(
        "--row",
        type=count_of("a row"),
        metavar="N",
        help="one row alone: its number in the set, the first one is 1",
    )
    parser.add_argument("--set", metavar="NAME", help="of this set of the run; else of the first")
    parser.add_argument("--html", metavar="FILE", help="write them as a page instead")
    parser.add_argument("--json", action="store_true", help="print a row a line, with its pieces")


def _add_look(
    commands: Any, name: str, run: Callable[..., int], text: str, example: str
) -> argparse.ArgumentParser:
    """A command that takes what `train` takes, and files of data."""
    parser: argparse.ArgumentParser = add_command(
        commands,
        name,
        run,
        text,
        epilog=f"settings, with their defaults:\n{options_help(*LOOKED_AT_BY)}\n\n"
        f"example:\n  tuneglm {example}",
    )
    add_settings(
        parser,
        example,
        names="RUN.yaml | DATA",
        words="a run file, files or names of data, overrides, or several of these",
    )
    return parser


def _add_data_list(commands: Any, name: str) -> None:
    parser = add_command(commands, name, list_data, "List the data sets that have a name.")
    parser.add_argument("--json", action="store_true", help="print an object a line")
    _add_data_folder(parser)


def _add_data_download(commands: Any, name: str) -> None:
    parser = add_command(
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
    parser = add_command(
        commands,
        name,
        write_identity,
        "Write rows that say who the model is, and beside them questions to evaluate with.",
        epilog="example:\n  tuneglm data identity --name 星河 --author 北斗实验室",
    )
    parser.add_argument("--name", required=True, help="the model's name")
    parser.add_argument("--author", required=True, help="who made it")
    parser.add_argument("--language", default="zh,en", help="languages (%(default)s)")
    _add_folder(parser)
    parser.add_argument("--output", help="file (identity.json in that folder)")
    parser.add_argument("--seed", type=int, default=0, help="draws other answers (%(default)s)")
    parser.add_argument("--overwrite", action="store_true", help="replace what is not ours")


def _add_folder(parser: argparse.ArgumentParser) -> None:
    folder = DataConfig.model_fields["dir"].default
    parser.add_argument("--dir", default=folder, help="folder of data (%(default)s)")


def _add_data_folder(parser: argparse.ArgumentParser) -> None:
    _add_folder(parser)
    parser.add_argument("--registry", help="a registry of your own, read beside tuneglm's")


def _data_config(given: argparse.Namespace) -> DataConfig:
    return DataConfig(dir=given.dir, registry=given.registry)


COMMANDS: dict[str, Callable[[Any, str], None]] = {
    "check": _add_data_check,
    "stats": _add_data_stats,
    "show": _add_data_show,
    "list": _add_data_list,
    "download": _add_data_download,
    "identity": _add_data_identity,
}
