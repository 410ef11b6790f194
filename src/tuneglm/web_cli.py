"""`tuneglm web`: the page for the whole job."""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuneglm.command_line import add_command, count_of, importing, no_bars
from tuneglm.data_config import DataConfig
from tuneglm.errors import ConfigError, OutputError
from tuneglm.packages import need

if TYPE_CHECKING:
    from tuneglm.web.site import Site

HOST, MEGABYTES, RUNS_AT_ONCE = "127.0.0.1", 200, 2
RUN_FILE = "run.yaml"


def web(given: argparse.Namespace) -> int:
    """Answer at an address of this machine until Ctrl-C, which is its usual end."""
    need("web", "The page")
    if os.name == "nt":
        raise ConfigError("The page runs on Linux and macOS.", "on Windows it runs in WSL")
    from tuneglm.web.files import work_folder
    from tuneglm.web.users import refuse_open_door, users_of

    users = users_of(Path(given.user_file) if given.user_file else None)
    refuse_open_door(given.host, users)
    folder, chosen = _workplace(Path(given.folder).expanduser())
    work = work_folder(folder)
    no_bars()
    with importing():
        from tuneglm.web.server import bound_socket, serve

    site = _site(given, work, is_open=not users)
    try:
        serve(site, users, chosen, bound_socket(given.host, given.port))
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
    return 0


def _workplace(folder: Path) -> tuple[Path, str]:
    """The folder of the page, and the run that is talked to first: a run's folder names both."""
    if folder.is_file():
        raise OutputError(f"`{folder}` is a file.", "name a folder: runs and uploads go into it")
    if (folder / RUN_FILE).is_file():
        return folder.absolute().parent, folder.absolute().name
    return folder, ""


def _site(given: argparse.Namespace, work: Path, *, is_open: bool) -> "Site":
    from tuneglm.web.files import Workplace, size_in_bytes
    from tuneglm.web.site import Site, named_models

    size = size_in_bytes(given.max_upload)
    return Site(
        work=Workplace(work, size, 10 * size),
        is_open=is_open,
        models=named_models([Path(path) for path in given.models]),
        data=Path(given.dir).expanduser().absolute(),
        at_once=given.runs,
    )


def add_web(commands: Any, name: str) -> None:
    """The command."""
    parser = add_command(
        commands,
        name,
        web,
        "Open a page for the whole job: data, training, chat, evaluation, export.",
        epilog="examples:\n  tuneglm web\n  tuneglm web demo_output\n"
        "  tuneglm web runs --host 0.0.0.0 --user-file users.txt --models /models",
    )
    parser.add_argument(
        "folder",
        nargs="?",
        default="tuneglm_runs",
        help="where runs, uploads and exports lie (%(default)s); or a run, to talk to",
    )
    parser.add_argument("--host", default=HOST, help="address to listen at (%(default)s)")
    parser.add_argument("--port", type=int, help="port (the first that is free from 7860)")
    parser.add_argument(
        "--models",
        nargs="+",
        default=[],
        metavar="FOLDER",
        help="models, or folders of models, to choose from; where passwords are asked for, no "
        "others can be used",
    )
    parser.add_argument(
        "--user-file",
        metavar="FILE",
        help="NAME:PASSWORD, one a line: each has runs and uploads of their own. Or one password "
        "in TUNEGLM_WEB_PASSWORD, whose name is `owner`",
    )
    parser.add_argument(
        "--max-upload",
        type=count_of("megabytes"),
        default=MEGABYTES,
        metavar="MB",
        help="largest file (%(default)s); all of a person's uploads may have ten times that",
    )
    parser.add_argument(
        "--runs",
        type=count_of("runs"),
        default=RUNS_AT_ONCE,
        metavar="N",
        help="so many runs may be at work at once (%(default)s)",
    )
    parser.add_argument(
        "--dir", default=DataConfig.model_fields["dir"].default, help="folder of named sets (data)"
    )
