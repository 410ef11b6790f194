"""From which checkpoint a run goes on, and whether it is the same run that goes on."""

from collections.abc import Iterable
from pathlib import Path

from tuneglm.errors import ConfigError, OutputError
from tuneglm.manifest import Course, problem_of, read_manifest

LIBRARIES = {True: "oneDNN", False: "torch.mm"}


def checkpoints_of(folder: Path) -> list[Path]:
    """The checkpoints of a run, the one with the most steps first."""
    steps = {path: path.name.rpartition("-")[2] for path in folder.glob("checkpoint-*")}
    found = [path for path, step in steps.items() if step.isdecimal() and path.is_dir()]
    return sorted(found, key=lambda path: int(steps[path]), reverse=True)


def newest_checkpoint(folder: Path) -> tuple[Path | None, list[str]]:
    """The whole checkpoint with the most steps, and what was passed over for it, and why."""
    notes: list[str] = []
    for checkpoint in checkpoints_of(folder):
        problem = problem_of(checkpoint)
        if problem is None:
            return checkpoint, notes
        notes.append(f"`{checkpoint}` is passed over: {problem}.")
    return None, notes


def named_checkpoint(path: Path) -> Path:
    """The checkpoint that `resume` names; raises ConfigError where it is not a whole one."""
    if not path.is_dir():
        raise ConfigError(
            f"There is no checkpoint `{path}`.",
            "resume is `auto`, `never` or a checkpoint's folder",
        )
    problem = problem_of(path)
    if problem is not None:
        raise ConfigError(
            f"`{path}` is no checkpoint, or not a whole one: {problem}.",
            "a checkpoint is OUTPUT/checkpoint-STEP; resume=auto finds the newest whole one",
        )
    return path


def begun_by_onednn(checkpoints: Iterable[Path]) -> bool | None:
    """Whether oneDNN multiplied when the first readable one was saved; None: nobody knows.

    Asked before the files are read for their digests: all checkpoints of a run are alike in it.
    """
    manifests = (read_manifest(checkpoint) for checkpoint in checkpoints)
    newest = next((each for each in manifests if each is not None), None)
    return None if newest is None else newest.course.by_onednn


def other_course(checkpoint: Path, course: Course, is_named: bool) -> list[str]:
    """What is not as it was when a checkpoint was saved; raises OutputError unless it is named."""
    manifest = read_manifest(checkpoint)
    assert manifest is not None
    notes, before = [], manifest.course
    if before.data != course.data:
        notes.append(f"The rows of data.train are not those with which `{checkpoint}` was saved.")
    if before.base and before.base != course.base:
        notes.append(f"The weights of model.path are not those with which `{checkpoint}` began.")
    if before.rows_a_step != course.rows_a_step:
        notes.append(
            f"A step has {course.rows_a_step} rows, and had {before.rows_a_step} when "
            f"`{checkpoint}` was saved."
        )
    if notes and not is_named:
        raise OutputError(
            notes[0],
            "undo the change, or choose another training.output_dir; "
            f"resume={checkpoint} goes on from it all the same",
        )
    if before.processes != course.processes:
        notes.append(
            f"`{checkpoint}` was saved by {before.processes} processes and is continued by "
            f"{course.processes}: dropout draws other numbers."
        )
    if before.by_onednn not in (None, course.by_onednn):
        # TUNEGLM_PRODUCTS says so, or there is no oneDNN here
        notes.append(
            f"`{checkpoint}` was saved with products by {LIBRARIES[bool(before.by_onednn)]} and is "
            f"continued by {LIBRARIES[bool(course.by_onednn)]}: sums are rounded otherwise."
        )
    return notes
