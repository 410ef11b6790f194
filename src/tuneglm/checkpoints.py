"""The output folder: whose it is, from where a run goes on, and what an interruption leaves.

nothing there, or an empty folder   a new run
our run.yaml, no result yet         the same run: goes on from its newest whole checkpoint
our run.yaml and a result           finished: never overwritten
anything else                       not ours: never touched
"""

import errno
import json
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import yaml
from safetensors import SafetensorError
from transformers import TrainerCallback

from tuneglm.config import RunConfig, dump_config
from tuneglm.errors import ConfigError, OutputError

RUN_FILE = "run.yaml"
STATE_FILE = "trainer_state.json"
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


@dataclass(frozen=True)
class Output:
    """Where results go, and the checkpoint from which the run goes on."""

    folder: Path
    checkpoint: Path | None = None


def open_output(config: RunConfig) -> Output:
    """Claim the output folder for this run; raises OutputError where it is in use."""
    folder = Path(config.training["output_dir"]).expanduser()
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"`{folder}` is a file.", "choose another training.output_dir")
    if folder.is_dir() and any(folder.iterdir()):
        _refuse_foreign(folder, config)
    if config.resume in ("auto", "never"):
        checkpoint = newest_checkpoint(folder)
    else:
        checkpoint = _named_checkpoint(Path(config.resume).expanduser())
    write_run_file(folder, config)
    return Output(folder, checkpoint)


def write_run_file(folder: Path, config: RunConfig) -> None:
    """The resolved config, from which the run can be repeated."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / RUN_FILE).write_text(dump_config(config), encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"Cannot write to `{folder}`: {error.strerror}.", "choose another training.output_dir"
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
    if not all((checkpoint / name).is_file() for name in CHECKPOINT_FILES):
        return False
    if not any(checkpoint.glob("rng_state*.pth")):
        return False
    try:
        json.loads((checkpoint / STATE_FILE).read_text(encoding="utf-8"))
    except ValueError:
        return False
    return any((checkpoint / name).is_file() for name in RESULTS)


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


class SaveOnInterrupt(TrainerCallback):
    """Ctrl-C ends the step, saves a checkpoint and stops; a second one stops at once."""

    def __init__(self) -> None:
        self.interrupted = False
        self._before: Any = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Take the signals."""
        self._before = {
            number: signal.signal(number, self._stop) for number in (signal.SIGINT, signal.SIGTERM)
        }

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Where a step ends, everything can be saved."""
        if self.interrupted:
            control.should_save = state.global_step != state.max_steps
            control.should_training_stop = True

    def release(self) -> None:
        """Give the signals back."""
        for number, handler in (self._before or {}).items():
            signal.signal(number, handler)
        self._before = None

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self.interrupted:
            raise KeyboardInterrupt
        self.interrupted = True


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


def _is_full(error: BaseException, folder: Path) -> bool:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    text = str(error)
    if "No space left" in text or "quota exceeded" in text:
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
    ours = yaml.safe_load(dump_config(config))
    for section in IDENTITY:
        if saved.get(section) != ours[section]:
            raise OutputError(
                f"`{folder}` holds an unfinished run with another "
                f"`{_difference(section, saved, ours)}`.",
                f"choose another training.output_dir, or go on with it: tuneglm train "
                f"{folder / RUN_FILE}",
            )


def _difference(section: str, saved: dict[str, Any], ours: dict[str, Any]) -> str:
    """The first key in which two runs differ."""
    theirs, mine = saved.get(section), ours[section]
    if not isinstance(theirs, dict):
        return section
    keys = [key for key in {**theirs, **mine} if theirs.get(key) != mine.get(key)]
    return f"{section}.{keys[0]}"


def _saved_run(folder: Path) -> dict[str, Any] | None:
    path = folder / RUN_FILE
    if not path.is_file():
        return None
    try:
        saved = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
        return None
    return saved if isinstance(saved, dict) else None


def _named_checkpoint(path: Path) -> Path:
    if not path.is_dir():
        raise ConfigError(
            f"There is no checkpoint `{path}`.",
            "resume is `auto`, `never` or a checkpoint's folder",
        )
    if not is_whole(path):
        raise ConfigError(
            f"`{path}` is not a whole checkpoint: the run was stopped while it was written.",
            "take an earlier one; resume=auto finds the newest whole one",
        )
    return path
