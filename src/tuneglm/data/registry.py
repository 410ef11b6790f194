"""The registry: a name or a path of a run → the file on this disk.

Named sets stand in `datasets.yaml` beside this file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import yaml

from tuneglm.config import DataConfig, DatasetEntry
from tuneglm.data.formats import nearest
from tuneglm.errors import DataError, HubError
from tuneglm.hub import Hub, fetch, page_of


@dataclass(frozen=True)
class RegisteredSet:
    """An entry of `datasets.yaml`, where the fields are explained."""

    name: str
    description: str
    file: str
    rows: int
    language: str
    licence: str
    format: str = "alpaca"
    columns: Mapping[str, str] = field(default_factory=dict)
    huggingface: str | None = None
    modelscope: str | None = None
    page: str | None = None
    placeholders: Sequence[str] = ()

    def hubs(self) -> dict[Hub, str]:
        """Hub → id there, for the hubs that have the file."""
        ids: dict[Hub, str | None] = {
            "huggingface": self.huggingface,
            "modelscope": self.modelscope,
        }
        return {hub: repo_id for hub, repo_id in ids.items() if repo_id is not None}

    def pages(self) -> list[str]:
        """Addresses from which a person can fetch the file."""
        hubs = [page_of(repo_id, hub, "dataset") for hub, repo_id in self.hubs().items()]
        return [*hubs, *([self.page] if self.page else [])]


@cache
def registered_sets() -> dict[str, RegisteredSet]:
    """Name → entry of the registry."""
    text = Path(__file__).with_name("datasets.yaml").read_text(encoding="utf-8")
    return {name: RegisteredSet(name, **entry) for name, entry in yaml.safe_load(text).items()}


def placed(config: DataConfig) -> DataConfig:
    """The same data with every path in full, good in any folder; names of sets stay names."""
    changed: dict[str, object] = {"dir": str(Path(config.dir).expanduser().absolute())}
    for side in ("train", "evaluation"):
        changed[side] = tuple(_placed(entry) for entry in getattr(config, side))
    return config.model_copy(update=changed)


def _placed(entry: DatasetEntry) -> DatasetEntry:
    entry = _named(entry)
    if entry.path is None:
        return entry
    path = str(Path(entry.path).expanduser().absolute())
    return entry.model_copy(update={"path": path})


def _named(entry: DatasetEntry) -> DatasetEntry:
    """A bare word is a name of the registry first; else, if it looks like one, a file."""
    name = entry.name
    if name is None or entry.path is not None or name in registered_sets():
        return entry
    if Path(name).suffix or Path(name).exists():
        return entry.model_copy(update={"name": None, "path": name})
    return entry


def resolve(entry: DatasetEntry, config: DataConfig) -> tuple[RegisteredSet | None, Path]:
    """The registry's entry, if the set is of it, and the file on this disk."""
    if (entry.name is None) == (entry.path is None):
        raise DataError(
            "An entry of `data.train` or `data.evaluation` needs `name` or `path`, and not both."
        )
    entry = _named(entry)
    if entry.path is not None:
        return None, Path(entry.path).expanduser()
    assert entry.name is not None
    registered = registered_sets().get(entry.name)
    if registered is None:
        near = nearest(entry.name, registered_sets())
        known = f"did you mean `{near}`?" if near else f"known: {', '.join(registered_sets())}."
        raise DataError(
            f"There is no data set `{entry.name}`.", f"{known} A path of a file works too"
        )
    local = Path(config.dir).expanduser() / registered.file
    return registered, local if local.exists() else _fetched(registered, local)


def _fetched(registered: RegisteredSet, local: Path) -> Path:
    """The file from the first hub that gives it; within seconds where none answers."""
    reasons = []
    for hub, repo_id in registered.hubs().items():
        try:
            folder = fetch(repo_id, hub, [registered.file], kind="dataset")
        except HubError as error:
            reasons.append(error.sentence)
            continue
        if (folder / registered.file).is_file():
            return folder / registered.file
        reasons.append(f"`{repo_id}` on {hub} holds no `{registered.file}`.")
    raise DataError(
        " ".join([f"The data set `{registered.name}` is not here: no file `{local}`.", *reasons]),
        f"fetch it from {' or '.join(registered.pages())} and put the file at `{local}`, "
        "or name the folder that holds it: data.dir=FOLDER",
    )
