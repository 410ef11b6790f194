"""Trackers: the run as it is seen in TensorBoard, wandb, SwanLab or MLflow.

transformers reports the figures; here the tracker's run is opened before it does, so that

    name     is training.run_name, or the output folder's
    project  is the tracker's own variable, training.project, or `tuneglm`
    files    lie in OUTPUT/trackers, unless the tracker's own variable says otherwise
    config   is run.yaml
    id       is kept in OUTPUT/trackers/ids.json: a run that goes on goes on there too

The first process alone reports. Nobody is asked at the terminal: without a key, what would
be sent to a server is kept on the disk.
"""

import io
import json
import logging
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from rich.console import Console
from transformers import Trainer
from transformers.integrations import TensorBoardCallback

from tuneglm.checkpoints import RUN_FILE, TRACKERS, Output
from tuneglm.config import RunConfig, dump_config
from tuneglm.errors import ConfigError
from tuneglm.manifest import write_whole
from tuneglm.reports.terminal import plain
from tuneglm.run_file import read_yaml
from tuneglm.yaml_faults import one_line

IDS_FILE = "ids.json"
PROJECT = "tuneglm"


@dataclass(frozen=True)
class Reported:
    """A run as a tracker knows it.

    folder  where its files go
    step    the last step that is not trained again, 0 in a new run
    known   the id by which this tracker knows the run already
    """

    name: str
    project: str
    config: str
    folder: Path
    step: int
    known: str | None = None

    def tree(self) -> dict[str, Any]:
        """run.yaml as sections."""
        return {"run": read_yaml(self.config)}


@dataclass(frozen=True)
class Opened:
    """A tracker's run, where to look at it, and how it is closed: True where it went well."""

    id: str | None
    words: str
    close: Callable[[bool], object]


@contextmanager
def tracked(config: RunConfig, output: Output, trainer: Trainer) -> Iterator[list[str]]:
    """The trackers of `training.report_to`, opened; and a line about each.

    Raises ConfigError for one that cannot be started.
    """
    asked = [name for name in OPENERS if name in (trainer.args.report_to or ())]
    folder = output.folder.absolute() / TRACKERS
    ids = _read_ids(folder) if output.checkpoint is not None else {}
    opened: list[Opened] = []
    if asked:
        folder.mkdir(exist_ok=True)
    with ExitStack() as closing:
        for name in asked:
            run = _reported(config, output, folder, ids.get(name))
            with _refusals(name):
                each = OPENERS[name](run, trainer)
            closing.push(_closer(each))
            opened.append(each)
            ids |= {name: each.id} if each.id else {}
        if ids:
            write_whole(folder / IDS_FILE, json.dumps(ids))
        yield [each.words for each in opened]


def print_trackers(terminal: Console, lines: Iterable[str]) -> None:
    """Where the run can be looked at."""
    for line in lines:
        terminal.print(f"[bold]Tracker[/]  {plain(line)}")


def _reported(config: RunConfig, output: Output, folder: Path, known: str | None) -> Reported:
    step = int(output.checkpoint.name.rpartition("-")[2]) if output.checkpoint else 0
    return Reported(
        name=config.training.get("run_name") or output.folder.absolute().name,
        project=config.training.get("project") or PROJECT,
        config=dump_config(config),
        folder=folder,
        step=step,
        known=known,
    )


def _closer(opened: Opened) -> Callable[..., None]:
    def close(kind: Any, *_: Any) -> None:
        with redirect_stdout(io.StringIO()):
            opened.close(kind is None)

    return close


@contextmanager
def _refusals(name: str) -> Iterator[None]:
    """What a tracker says when it cannot start, as a ConfigError; it may also talk meanwhile."""
    try:
        with redirect_stdout(io.StringIO()):
            yield
    except _errors_of(name) as error:
        raise ConfigError(
            f"`training.report_to={name}` cannot be started: {one_line(error)}.",
            "leave it out, or have the tracker keep its files here (its offline mode)",
        ) from None


def _errors_of(name: str) -> tuple[type[Exception], ...]:
    """Python's, and the tracker's own tree, which stands beside them."""
    module, kind = ERRORS.get(name, ("builtins", "OSError"))
    return OSError, RuntimeError, ValueError, AssertionError, getattr(import_module(module), kind)


def _tensorboard(run: Reported, trainer: Trainer) -> Opened:
    """Lines of steps that are trained again are taken back, so that none is double."""
    from torch.utils.tensorboard import SummaryWriter

    folder = Path(os.environ.get("TENSORBOARD_LOGGING_DIR", run.folder / "tensorboard"))
    writer = SummaryWriter(str(folder.expanduser()), purge_step=run.step + 1)
    writer.add_text(RUN_FILE, f"```yaml\n{run.config}```")
    trainer.pop_callback(TensorBoardCallback)
    trainer.add_callback(TensorBoardCallback(writer))
    return Opened(None, f"tensorboard --logdir {_short(folder)}", lambda _: writer.close())


def _wandb(run: Reported, _: Trainer) -> Opened:
    import wandb

    offline = wandb.Settings().mode == "online" and not wandb.login(prompt=False)
    known = run.known or secrets.token_hex(4)
    begun = wandb.init(
        project=os.environ.get("WANDB_PROJECT", run.project),
        name=os.environ.get("WANDB_NAME", run.name),
        id=os.environ.get("WANDB_RUN_ID", known),
        dir=os.environ.get("WANDB_DIR", str(run.folder)),
        mode="offline" if offline else None,
        resume="allow",
        config=run.tree(),
        settings=wandb.Settings(silent=True, console="off"),
    )
    kept = _short(Path(str(begun.dir)).parent)
    words = f"offline; `wandb sync {kept}` sends it" if begun.offline else begun.url
    return Opened(begun.id, f"wandb · {words}", lambda well: wandb.finish(0 if well else 1))


def _swanlab(run: Reported, _: Trainer) -> Opened:
    import swanlab

    has_key = swanlab.Settings().api_key is not None
    mode = os.environ.get("SWANLAB_MODE", "online" if has_key else "offline")
    known = run.known or secrets.token_hex(8)
    begun = swanlab.init(
        project=os.environ.get("SWANLAB_PROJECT", run.project),
        name=run.name,
        id=os.environ.get("SWANLAB_RUN_ID", known),
        log_dir=os.environ.get("SWANLAB_LOG_DIR", str(run.folder / "swanlog")),
        mode=mode,
        resume=os.environ.get("SWANLAB_RESUME", "allow"),
        config=run.tree(),
        settings=swanlab.Settings(terminal={"proxy_type": "none"}),
    )
    kept = _short(Path(begun.dir))
    words = begun.url if mode == "online" else f"{mode}; `swanlab sync {kept}` sends it"
    return Opened(
        begun.id,
        f"swanlab · {words}",
        lambda well: swanlab.finish(state="success" if well else "crashed"),
    )


def _mlflow(run: Reported, _: Trainer) -> Opened:
    import mlflow

    # what a database is made of is no news, nor that a run which goes on says the same again
    logging.getLogger("mlflow").setLevel(logging.CRITICAL)
    own = f"sqlite:///{run.folder / 'mlflow.db'}"
    if not mlflow.is_tracking_uri_set():
        mlflow.set_tracking_uri(os.environ.get("MLFLOW_TRACKING_URI", own))
    where = mlflow.get_tracking_uri()
    is_ours = where == own
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", run.project)
    if is_ours and mlflow.get_experiment_by_name(name) is None:
        mlflow.create_experiment(name, artifact_location=(run.folder / "mlartifacts").as_uri())
    mlflow.set_experiment(name)
    begun = mlflow.start_run(run_id=run.known, run_name=run.name)
    mlflow.log_text(run.config, RUN_FILE)
    shown = f"sqlite:///{_short(run.folder / 'mlflow.db')}"
    words = f"mlflow ui --backend-store-uri {shown}" if is_ours else f"mlflow · {where}"
    return Opened(
        begun.info.run_id, words, lambda well: mlflow.end_run("FINISHED" if well else "FAILED")
    )


OPENERS: dict[str, Callable[[Reported, Trainer], Opened]] = {
    "tensorboard": _tensorboard,
    "wandb": _wandb,
    "swanlab": _swanlab,
    "mlflow": _mlflow,
}


# where the root of a tracker's own errors is
ERRORS = {
    "wandb": ("wandb.errors", "Error"),
    "swanlab": ("swanlab.exceptions", "AuthenticationError"),
    "mlflow": ("mlflow.exceptions", "MlflowException"),
}


def _read_ids(folder: Path) -> dict[str, str]:
    path = folder / IDS_FILE
    ids: dict[str, str] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return ids


def _short(path: Path) -> str:
    """As it can be typed here."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
