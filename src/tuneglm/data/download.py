"""Files of named sets, from a hub into `data.dir`; what was begun goes on where it stopped."""

from collections.abc import Sequence
from pathlib import Path

from tuneglm.data.problems import MISSING
from tuneglm.data.registered_set import DATA_FILES, RegisteredSet
from tuneglm.errors import DataError, HubError, OutputError
from tuneglm.hub import Hub, fetch


def downloaded(registered: RegisteredSet, directory: Path, hub: Hub | None = None) -> Path:
    """The set's file, pattern or folder, fetched from `hub`, or from the first that gives it.

    Raises DataError with what goes where by hand, within seconds where no hub answers.
    """
    hubs = registered.hubs()
    if hub is not None:
        if hub not in hubs:
            raise DataError(
                f"`{registered.name}` is not on {hub}, as far as is known.",
                _elsewhere(registered, directory),
            )
        hubs = {hub: hubs[hub]}
    reasons = []
    for each, repo_id in hubs.items():
        try:
            _fetch_into(registered, directory, each, repo_id)
        except HubError as error:
            reasons.append(error.sentence)
            continue
        if (path := registered.found(directory)) is not None:
            return path
        reasons.append(f"`{repo_id}` on {each} holds no {_listed(registered.files)}.")
    local = registered.path(directory)
    raise DataError(
        " ".join([f"The data set `{registered.name}` is not here: no file `{local}`.", *reasons]),
        _by_hand(registered, directory),
        at=(registered.name, 1, MISSING),
    )


def _fetch_into(registered: RegisteredSet, directory: Path, hub: Hub, repo_id: str) -> None:
    base = registered.base(directory)
    marker = base / registered.marker_name
    patterns = registered.files or registered.only or DATA_FILES
    try:
        base.mkdir(parents=True, exist_ok=True)
        marker.touch()
    except OSError as error:
        raise OutputError(
            f"Cannot write to `{base}`: {error.strerror}.", "name another folder: data.dir=FOLDER"
        ) from None
    try:
        fetch(repo_id, hub, patterns, kind="dataset", folder=base, never=registered.never)
    except (HubError, KeyboardInterrupt):
        _leave_no_trace(registered, base, marker)
        raise
    marker.unlink()


def _leave_no_trace(registered: RegisteredSet, base: Path, marker: Path) -> None:
    """Where nothing was fetched, files that a person puts there count as whole."""
    if not any(next(base.glob(name), None) for name in registered.files or DATA_FILES):
        marker.unlink()
    if not any(base.iterdir()):
        base.rmdir()


def _elsewhere(registered: RegisteredSet, directory: Path) -> str:
    """Where a set is that a hub lacks, for those too who cannot reach that place."""
    by_hand, hubs = _by_hand(registered, directory), registered.hubs()
    if not hubs:
        return by_hand
    mirror = "HF_ENDPOINT=https://…" if "huggingface" in hubs else "MODELSCOPE_DOMAIN=…"
    return (
        f"leave --hub out, for it is on {' and '.join(hubs)}; where that is not reached, name a "
        f"mirror ({mirror}) or {by_hand}"
    )


def _by_hand(registered: RegisteredSet, directory: Path) -> str:
    if registered.command is not None:
        return f"write it: {registered.command}"
    if not registered.pages():
        return f"put {_listed(registered.files)} into `{registered.base(directory)}`"
    base = registered.base(directory)
    marker = base / registered.marker_name
    if len(registered.files) == 1:
        goes = f"put the file at `{base / registered.files[0]}`"
    else:
        goes = f"put {_listed(registered.files)} into `{base}`"
    if marker.exists():
        goes += f" and remove `{marker}`, which says that files are missing"
    return (
        f"fetch it from {' or '.join(registered.pages())} and {goes}, "
        "or name the folder that holds it: data.dir=FOLDER"
    )


def _listed(files: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in files) or "data files"
