"""The output folder: whose it is, from where a run goes on, and what a full disk leaves.

nothing there, or an empty folder   a new run
our run.yaml, no result yet         the same run: goes on from its newest whole checkpoint
nothing but OUTPUT/unfinished       a new run: one was killed before it began
our run.yaml and a result           finished: never overwritten
anything else                       not ours: never touched
"""

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from tuneglm.config import RunConfig, dump_config, load_config
from tuneglm.data.registry import placed as placed_data
from tuneglm.errors import ConfigError, ModelError, OutputError, UserError
from tuneglm.hub import looks_like_id, no_folder
from tuneglm.lock import locked
from tuneglm.manifest import UNFINISHED, Course, flush, read_manifest, write_whole
from tuneglm.resuming import (
    begun_by_onednn,
    checkpoints_of,
    named_checkpoint,
    newest_checkpoint,
    other_course,
)

RUN_FILE = "run.yaml"
LOG_FILE = "log.jsonl"
# what trackers write of a run
TRACKERS = "trackers"
PROBE_FILE = "probe.json"
# what the frozen layers of a run hand on
STATES = "frozen_states"
RESULTS = (
    "adapter_model.safetensors",
    "model.safetensors",
    "model.safetensors.index.json",
    # a prefix, as the official scripts save it
    "pytorch_model.bin",
)
# sections that make a run what it is; the others may change when it goes on
IDENTITY = ("model", "data", "method", "stage")
# a checkpoint carries these, or goes on in an order that was drawn by them: another value
# would be passed over, or rows seen twice
KEPT = (
    "seed",
    "data_seed",
    "train_sampling_strategy",
    "learning_rate",
    "lr_scheduler_type",
    "weight_decay",
    "adam_beta1",
    "adam_beta2",
    "adam_epsilon",
    "optim",
)
# where a run ends: it may go on longer, and then follows another schedule
LENGTH = ("num_train_epochs", "max_steps", "warmup_steps")
# what a step does with its rows: heard from there on, so that losses are no longer comparable
WAYS = ("max_grad_norm", "label_smoothing_factor", "lr_scheduler_kwargs", "bf16", "fp16")
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
ROOM = 2**22
FULL_TEXTS = ("No space left", "quota exceeded", "File too large")


@dataclass(frozen=True)
class Output:
    """Where results go, and the checkpoint from which the run goes on.

    is_new  nothing was here before
    notes   what was passed over, and what is other than when the checkpoint was saved
    """

    folder: Path
    checkpoint: Path | None = None
    is_new: bool = False
    notes: tuple[str, ...] = ()


def as_begun(config: RunConfig) -> RunConfig:
    """With what an unfinished run in the output folder chose by the memory that there was.

    Its bits, where this says `auto`, and its portions: by others sums are rounded otherwise.
    """
    saved = _saved_run(Path(config.training["output_dir"]).expanduser())
    if saved is None:
        return config
    model, data = config.model, config.data
    if model.bits == "auto":
        model = model.model_copy(update={"bits": saved.model.bits})
    if data.tokens_at_once is None:
        data = data.model_copy(update={"tokens_at_once": saved.data.tokens_at_once})
    return config.model_copy(update={"model": model, "data": data})


def library_as_begun(config: RunConfig) -> bool | None:
    """Whether oneDNN multiplied in the run that goes on; None: it is new, or did not keep it."""
    if config.resume not in ("auto", "never"):
        return begun_by_onednn([Path(config.resume).expanduser()])
    return begun_by_onednn(checkpoints_of(Path(config.training["output_dir"]).expanduser()))


def refuse_taken(config: RunConfig) -> None:
    """Raise OutputError where the output folder cannot be this run's: known before all else.

    The first process alone writes there: what lies by that name on another machine is nobody's.
    """
    if not config.training.get("output_dir") or os.environ.get("RANK", "0") != "0":
        return
    folder = Path(config.training["output_dir"]).expanduser()
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"`{folder}` is a file.", "choose another training.output_dir")
    if _is_used(folder):
        _refuse_foreign(folder, as_begun(config))


def check_output(config: RunConfig, course: Course | None = None) -> Output:
    """Where a run's results go and from where it goes on; nothing is left behind by asking.

    Raises OutputError where the folder cannot be this run's, or its checkpoint
    belongs to another course, and ConfigError for a checkpoint that is not one.
    """
    refuse_taken(config)
    folder = Path(config.training["output_dir"]).expanduser()
    is_named = config.resume not in ("auto", "never")
    checkpoint, notes = newest_checkpoint(folder) if not is_named else (None, [])
    if is_named:
        checkpoint = named_checkpoint(Path(config.resume).expanduser())
    if checkpoint is not None and course is not None:
        notes += other_course(checkpoint, course, is_named)
    if checkpoint is not None:
        notes += _other_course(folder, config)
    _try_to_write(folder)
    return Output(folder, checkpoint, not (folder / RUN_FILE).exists(), tuple(notes))


@contextmanager
def claimed(config: RunConfig, output: Output) -> Iterator[None]:
    """The output folder for this process alone, with the run's file in it.

    Where a run breaks off with nothing done the folder is taken back: the command
    can be typed again. Raises OutputError where another process is at work in it.
    """
    folder = output.folder
    with writable(folder):
        pass
    with locked(folder):
        if _is_used(folder):
            # another process may have been here since the folder was judged
            _refuse_foreign(folder, config)
        # of a run that was killed
        shutil.rmtree(folder / UNFINISHED, ignore_errors=True)
        write_run_file(folder, config)
        try:
            yield
        except BaseException:
            if output.is_new and not is_finished(folder) and not checkpoints_of(folder):
                _leave(folder)
            raise


def write_run_file(folder: Path, config: RunConfig) -> None:
    """The resolved config, from which the run can be repeated in any folder.

    A run file that a person wrote and that says the same is left as it is.
    """
    path, whole = folder / RUN_FILE, placed(config)
    if path.is_file() and placed(load_config(path)) == whole:
        return
    with writable(folder):
        write_whole(path, dump_config(whole))


def placed(config: RunConfig) -> RunConfig:
    """The same run with every path in full."""
    changed: dict[str, Any] = {"data": placed_data(config.data)}
    model = Path(config.model.path).expanduser()
    named = {path: Path(path).expanduser() for path in config.model.adapters}
    adapters = tuple(str(it.absolute()) if it.is_dir() else path for path, it in named.items())
    paths: dict[str, Any] = {"adapters": adapters}
    paths |= {"path": str(model.absolute())} if model.is_dir() else {}
    changed["model"] = config.model.model_copy(update=paths)
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
    flush(unfinished)
    # what marks a run as finished comes last
    for path in sorted(unfinished.iterdir(), key=lambda path: path.name in RESULTS):
        # safetensors writes for its owner alone; a team reads the folder by its own rules
        path.chmod((folder / RUN_FILE).stat().st_mode)
        path.replace(folder / path.name)
    unfinished.rmdir()
    flush(folder)


def refuse_unfinished(folder: Path) -> None:
    """Raise ModelError for the folder of a run that has not left its result yet."""
    has_result = any((folder / name).is_file() for name in ("config.json", "adapter_config.json"))
    if (folder / RUN_FILE).is_file() and not has_result:
        raise ModelError(
            f"`{folder}` holds a run that is not finished.",
            f"go on with it: tuneglm train {folder / RUN_FILE}",
        )


def run_within(path: str | Path) -> Path:
    """The finished run that a path means: its own, or the only one in a folder of runs.

    A path that is a run, a model or an id comes back as it is. Raises ModelError for a folder
    that is not here, and for one that holds several finished runs.
    """
    folder = Path(path).expanduser()
    # asked of what was typed: Path writes `./owner/name` as an id
    if not folder.exists() and not looks_like_id(str(path)):
        raise no_folder(path)
    own = (RUN_FILE, "config.json", "adapter_config.json", *RESULTS)
    if not folder.is_dir() or any((folder / name).exists() for name in own):
        return Path(path)
    begun = sorted(each.parent for each in folder.glob(f"*/{RUN_FILE}"))
    # of a single one that is not finished its own sentence is said
    runs = [run for run in begun if is_finished(run)] or begun[:1]
    if len(runs) > 1:
        names = ", ".join(f"`{run.name}`" for run in runs)
        raise ModelError(
            f"`{folder}` holds {len(runs)} finished runs: {names}.", f"name one: {runs[-1]}"
        )
    return runs[0] if runs else Path(path)


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


@dataclass(frozen=True)
class writing:  # noqa: N801 - read as a phrase: with writing(folder)
    """Turn a full disk, however a library words it, into one sentence.

    A class, as a tokenizer's is a bare Exception, which no `except` can tell from others.
    """

    folder: Path

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: Any, error: BaseException | None, __: Any) -> None:
        """Raise OutputError for a full disk; anything else goes its way."""
        if error is None or not is_full(error, self.folder):
            return
        # what was being written makes room
        shutil.rmtree(self.folder / UNFINISHED, ignore_errors=True)
        newest = next((path for path in checkpoints_of(self.folder) if read_manifest(path)), None)
        kept = f"the newest whole checkpoint is `{newest}`" if newest else "no checkpoint was saved"
        raise OutputError(
            f"There is no space left in `{self.folder}`: {kept}.",
            "free some space, or keep fewer checkpoints (training.save_total_limit=1), and "
            "type the same command again",
        ) from None


def _leave(folder: Path) -> None:
    for name in (UNFINISHED, TRACKERS, STATES):
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in (RUN_FILE, LOG_FILE, PROBE_FILE):
        (folder / name).unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()


def is_full(error: BaseException, folder: Path) -> bool:
    """Whether an error, however it is worded, says that nothing more can be written there."""
    if isinstance(error, UserError):
        return False
    if isinstance(error, OSError) and error.errno in FULL:
        return True
    text = str(error)
    if any(words in text for words in FULL_TEXTS):
        return True
    # torch's and numpy's writers do not say why they failed
    is_untold = isinstance(error, RuntimeError) or (
        isinstance(error, OSError) and error.errno is None
    )
    return is_untold and not _has_room(folder)


def _has_room(folder: Path) -> bool:
    """Whether a little more can be written: a quota or a limit is not seen in the free space."""
    try:
        with TemporaryFile(dir=folder) as file:
            file.write(bytes(ROOM))
            file.flush()
    except OSError:
        return False
    return True


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
            f"choose another training.output_dir; `tuneglm chat {folder}` talks to the result, "
            f"`tuneglm train {folder / RUN_FILE}` repeats the run into a folder beside it",
        )
    if config.resume == "never":
        raise OutputError(
            f"`{folder}` holds a run that is not finished, and `resume` is `never`.",
            "go on with it by resume=auto, or choose another training.output_dir",
        )
    different = next(_differences(saved, placed(config), bool(checkpoints_of(folder))), None)
    if different is not None:
        raise OutputError(
            f"`{folder}` holds an unfinished run with another `{different}`.",
            f"choose another training.output_dir, or go on with it: tuneglm train "
            f"{folder / RUN_FILE}",
        )


def _differences(saved: RunConfig, ours: RunConfig, resumes: bool) -> Iterator[str]:
    """The keys by which a run is another than the saved one."""
    for section in IDENTITY:
        theirs, mine = getattr(saved, section), getattr(ours, section)
        for name in type(mine).model_fields:
            if getattr(theirs, name, None) != getattr(mine, name):
                yield f"{section}.{name}"
    for name in KEPT if resumes else ():
        if saved.training.get(name) != ours.training.get(name):
            yield f"training.{name}"
    if resumes and saved.average != ours.average:
        yield "average"


def _other_course(folder: Path, config: RunConfig) -> Iterator[str]:
    """What is to be said of a run that goes on otherwise, or to another end, than it began."""
    saved = _saved_run(folder)
    if saved is None:
        return
    for name in (*LENGTH, *WAYS):
        before, now = (_said(each.training.get(name)) for each in (saved, config))
        if before != now:
            follows = "the learning rate follows another schedule" if name in LENGTH else "it holds"
            yield f"training.{name} was {before} and is {now}: from here on {follows}."


def _said(value: Any) -> str:
    return "not given" if value is None else str(value)


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


def _is_used(folder: Path) -> bool:
    """Whether a folder holds anything but what a killed run was writing."""
    return folder.is_dir() and any(path.name != UNFINISHED for path in folder.iterdir())


def _try_to_write(folder: Path) -> None:
    is_missing = not folder.exists()
    try:
        with writable(folder), TemporaryFile(dir=folder):
            pass
    finally:
        if is_missing:
            # not the folders above: a run that starts at the same time may count on them
            with suppress(OSError):
                folder.rmdir()
