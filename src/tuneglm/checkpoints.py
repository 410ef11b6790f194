"""The output folder: whose it is, from where a run goes on, and what a full disk leaves.

nothing there, or an empty folder   a new run
our run.yaml, no result yet         the same run: goes on from its newest whole checkpoint
our run.yaml and a result           finished: never overwritten
anything else                       not ours: never touched
"""

import errno
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any
from zipfile import is_zipfile

from safetensors import SafetensorError, safe_open

from tuneglm.config import RunConfig, dump_config, load_config
from tuneglm.data.registry import placed as placed_data
from tuneglm.errors import ConfigError, ModelError, OutputError

RUN_FILE = "run.yaml"
STATE_FILE = "trainer_state.json"
LOG_FILE = "log.jsonl"
UNFINISHED = "unfinished"
RESULTS = (
    "adapter_model.safetensors",
    "model.safetensors",
    "model.safetensors.index.json",
)
# without one of these a checkpoint is silently resumed wrongly, or not at all
CHECKPOINT_FILES = ("optimizer.pt", "scheduler.pt", STATE_FILE)
# sections that make a run what it is; the others may change when it goes on
IDENTITY = ("model", "data", "method", "stage")
# a checkpoint carries these: another value would be passed over
KEPT = (
    "learning_rate",
    "lr_scheduler_type",
    "weight_decay",
    "adam_beta1",
    "adam_beta2",
    "adam_epsilon",
    "optim",
)
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FULL_TEXTS = ("No space left", "quota exceeded", "File too large")


@dataclass(frozen=True)
class Output:
    """Where results go, the checkpoint from which the run goes on, and whether it is new here."""

    folder: Path
    checkpoint: Path | None = None
    is_new: bool = False


def check_output(config: RunConfig) -> None:
    """Raise OutputError where `open_output` would, without leaving anything behind."""
    folder = Path(config.training["output_dir"]).expanduser()
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"`{folder}` is a file.", "choose another training.output_dir")
    if folder.is_dir() and any(folder.iterdir()):
        _refuse_foreign(folder, config)
    if config.resume not in ("auto", "never"):
        _named_checkpoint(Path(config.resume).expanduser())
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        with writable(folder), TemporaryFile(dir=folder):
            pass
    finally:
        for path in missing:
            with suppress(OSError):
                path.rmdir()


def open_output(config: RunConfig) -> Output:
    """Claim the output folder for this run; raises OutputError where it is in use."""
    folder = Path(config.training["output_dir"]).expanduser()
    if folder.is_dir() and any(folder.iterdir()):
        _refuse_foreign(folder, config)
    if config.resume in ("auto", "never"):
        checkpoint = newest_checkpoint(folder)
    else:
        checkpoint = _named_checkpoint(Path(config.resume).expanduser())
    is_new = not (folder / RUN_FILE).exists()
    write_run_file(folder, config)
    return Output(folder, checkpoint, is_new)


def write_run_file(folder: Path, config: RunConfig) -> None:
    """The resolved config, from which the run can be repeated in any folder.

    A run file that a person wrote and that says the same is left as it is.
    """
    path, whole = folder / RUN_FILE, placed(config)
    if path.is_file() and placed(load_config(path)) == whole:
        return
    with writable(folder):
        path.write_text(dump_config(whole), encoding="utf-8")


def placed(config: RunConfig) -> RunConfig:
    """The same run with every path in full."""
    changed: dict[str, Any] = {"data": placed_data(config.data)}
    model = Path(config.model.path).expanduser()
    if model.is_dir():
        changed["model"] = config.model.model_copy(update={"path": str(model.absolute())})
    if "output_dir" in config.training:
        folder = Path(config.training["output_dir"]).expanduser().absolute()
        changed["training"] = config.training | {"output_dir": str(folder)}
    if config.resume not in ("auto", "never"):
        changed["resume"] = str(Path(config.resume).expanduser().absolute())
    return config.model_copy(update=changed)


@contextmanager
def writable(folder: Path) -> Iterator[None]:
    """Make the folder; a place that cannot be written is one sentence."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise OutputError(
            f"Cannot write to `{folder}`: {error.strerror}.", "choose another folder for it"
        ) from None


def save_result(folder: Path, save: Callable[[Path], None]) -> None:
    """Let `save` write the result, which appears in `folder` only when it is whole."""
    unfinished = folder / UNFINISHED
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    save(unfinished)
    # what marks a run as finished comes last
    for path in sorted(unfinished.iterdir(), key=lambda path: path.name in RESULTS):
        # safetensors writes for its owner alone; a team reads the folder by its own rules
        path.chmod((folder / RUN_FILE).stat().st_mode)
        path.replace(folder / path.name)
    unfinished.rmdir()


def newest_checkpoint(folder: Path) -> Path | None:
    """The checkpoint with the most steps of those that were written to their end."""
    checkpoints = [path for path in folder.glob("checkpoint-*") if is_whole(path)]
    return max(checkpoints, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def is_whole(checkpoint: Path) -> bool:
    """Whether a checkpoint can be resumed: the Trainer writes its state file last."""
    return _missing_part(checkpoint) is None


def _missing_part(checkpoint: Path) -> str | None:
    """What a checkpoint lacks to be resumed; None where it is whole."""
    for name in CHECKPOINT_FILES:
        if not (checkpoint / name).is_file():
            return name
    if not any(checkpoint.glob("rng_state*.pth")):
        return "rng_state.pth"
    try:
        json.loads((checkpoint / STATE_FILE).read_text(encoding="utf-8"))
    except ValueError:
        return STATE_FILE
    if not any((checkpoint / name).is_file() for name in RESULTS):
        return RESULTS[0]
    files = [path for path in checkpoint.iterdir() if path.is_file()]
    return next((path.name for path in files if not _is_complete(path)), None)


def _is_complete(path: Path) -> bool:
    """Whether a file of tensors has its end: a copy or a disk may have cut it off."""
    if path.suffix in (".pt", ".pth"):
        return is_zipfile(path)
    if path.suffix != ".safetensors":
        return True
    try:
        with safe_open(path, framework="pt"):
            return True
    except SafetensorError:
        return False


def refuse_unfinished(folder: Path) -> None:
    """Raise ModelError for the folder of a run that has not left its result yet."""
    has_result = any((folder / name).is_file() for name in ("config.json", "adapter_config.json"))
    if (folder / RUN_FILE).is_file() and not has_result:
        raise ModelError(
            f"`{folder}` holds a run that is not finished.",
            f"go on with it: tuneglm train {folder / RUN_FILE}",
        )


def is_finished(folder: Path) -> bool:
    """Whether a run ended here and left its result."""
    return any((folder / name).is_file() for name in RESULTS)


def free_sibling(folder: Path) -> Path:
    """`out` → the first of `out-2`, `out-3`, … that is not there."""
    number = 2
    while (sibling := folder.with_name(f"{folder.name}-{number}")).exists():
        number += 1
    return sibling


def repeated(config: RunConfig, run_file: Path | None) -> RunConfig:
    """The config of `OUTPUT/run.yaml`, whose own folder is finished: into a folder beside it."""
    output = config.training.get("output_dir")
    if run_file is None or output is None:
        return config
    folder = Path(output).expanduser()
    if run_file.resolve().parent != folder.resolve() or not is_finished(folder):
        return config
    training = config.training | {"output_dir": str(free_sibling(folder))}
    return config.model_copy(update={"training": training})


@contextmanager
def claimed(output: Output) -> Iterator[None]:
    """Take the claim back where a run broke off with nothing done: it can be typed again."""
    try:
        yield
    except BaseException:
        folder = output.folder
        if output.is_new and not is_finished(folder) and not any(folder.glob("checkpoint-*")):
            _leave(folder)
        raise


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn a full disk, however a library words it, into one sentence."""
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        if not _is_full(error, folder):
            raise
        newest = newest_checkpoint(folder)
        kept = f"the newest whole checkpoint is `{newest}`" if newest else "no checkpoint was saved"
        raise OutputError(
            f"There is no space left in `{folder}`: {kept}.",
            "free some space, or keep fewer checkpoints (training.save_total_limit=1), and "
            "type the same command again",
        ) from None


def _leave(folder: Path) -> None:
    shutil.rmtree(folder / UNFINISHED, ignore_errors=True)
    for name in (RUN_FILE, LOG_FILE):
        (folder / name).unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()


def _is_full(error: BaseException, folder: Path) -> bool:
    if isinstance(error, OSError) and error.errno in FULL:
        return True
    text = str(error)
    if any(words in text for words in FULL_TEXTS):
        return True
    # torch's writer does not say why it failed
    failed = "PytorchStreamWriter" in text or "unexpected pos" in text
    return failed and shutil.disk_usage(folder).free < 2**20


def _refuse_foreign(folder: Path, config: RunConfig) -> None:
    saved = _saved_run(folder)
    if saved is None:
        raise OutputError(
            f"`{folder}` is not empty, and what it holds is not a run.",
            "choose another training.output_dir",
        )
    if is_finished(folder):
        raise OutputError(
            f"`{folder}` holds a finished run.",
            f"choose another training.output_dir; `tuneglm chat {folder}` talks to the result",
        )
    if config.resume == "never":
        raise OutputError(
            f"`{folder}` holds a run that is not finished, and `resume` is `never`.",
            "go on with it by resume=auto, or choose another training.output_dir",
        )
    different = next(_differences(saved, placed(config), newest_checkpoint(folder)), None)
    if different is not None:
        raise OutputError(
            f"`{folder}` holds an unfinished run with another `{different}`.",
            f"choose another training.output_dir, or go on with it: tuneglm train "
            f"{folder / RUN_FILE}",
        )


def _differences(saved: RunConfig, ours: RunConfig, checkpoint: Path | None) -> Iterator[str]:
    """The keys by which a run is another than the saved one."""
    for section in IDENTITY:
        theirs, mine = getattr(saved, section), getattr(ours, section)
        for name in type(mine).model_fields:
            if getattr(theirs, name, None) != getattr(mine, name):
                yield f"{section}.{name}"
    for name in KEPT if checkpoint else ():
        if saved.training.get(name) != ours.training.get(name):
            yield f"training.{name}"


def _saved_run(folder: Path) -> RunConfig | None:
    """What the folder's run file says today: keys that came later have their defaults."""
    if not (folder / RUN_FILE).is_file():
        return None
    try:
        return placed(load_config(folder / RUN_FILE))
    except ConfigError as error:
        raise OutputError(
            f"`{folder}` holds a run whose `{RUN_FILE}` cannot be read: {error.sentence}",
            "choose another training.output_dir, or correct the file",
        ) from None


def _named_checkpoint(path: Path) -> Path:
    if not path.is_dir():
        raise ConfigError(
            f"There is no checkpoint `{path}`.",
            "resume is `auto`, `never` or a checkpoint's folder",
        )
    if not is_whole(path):
        raise ConfigError(
            f"`{path}` is no checkpoint, or not a whole one: it lacks `{_missing_part(path)}`.",
            "a checkpoint is OUTPUT/checkpoint-STEP; resume=auto finds the newest whole one",
        )
    return path
