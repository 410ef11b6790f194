"""RegisteredSet: what a registry knows of a data set, and where its files lie on this disk."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from tuneglm.hub import Hub, page_of
from tuneglm.section import Section

# in a file of which nothing else is said
DATA_FILES = tuple(
    f"*.{kind}{packed}"
    for kind in ("json", "jsonl", "csv", "tsv", "parquet", "arrow")
    for packed in ("", ".gz", ".zst", ".xz")
)


def _several(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_several)]


class RegisteredSet(Section):
    """An entry of a registry; the fields are explained in `datasets.yaml`.

    name      how a run names it
    only      patterns of its files, where it is a repository whose files are not known
    never     patterns of what there is of no use
    sha1      of the only file, in hexadecimal
    max_rows  how many rows it stands for, where not for all
    refusal   why it cannot be used, where that is so: (what is wrong, what to do)
    notes     what was passed over in its registry
    origin    the registry of a person's own from which it is; None: from ours
    """

    name: str
    description: str = ""
    files: Names = ()
    folder: str | None = None
    format: str | None = None
    columns: Mapping[str, str] = {}
    rows: Annotated[int, Field(ge=0)] | None = None
    size: str | None = None
    language: str = ""
    licence: str = "none stated"
    restriction: Literal["none", "non-commercial", "research-only", "unstated"] = "unstated"
    huggingface: str | None = None
    modelscope: str | None = None
    page: str | None = None
    command: str | None = None
    placeholders: Names = ()
    aliases: Names = ()
    only: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    sha1: str | None = None
    max_rows: Annotated[int, Field(gt=0)] | None = None
    refusal: tuple[str, str] | None = None
    notes: tuple[str, ...] = ()
    origin: Path | None = None

    def hubs(self) -> dict[Hub, str]:
        """Hub → id there, for the hubs that have the files."""
        ids: dict[Hub, str | None] = {
            "huggingface": self.huggingface,
            "modelscope": self.modelscope,
        }
        return {hub: repo_id for hub, repo_id in ids.items() if repo_id is not None}

    def pages(self) -> list[str]:
        """Addresses from which a person can fetch the files."""
        hubs = [page_of(repo_id, hub, "dataset") for hub, repo_id in self.hubs().items()]
        return [*hubs, *([self.page] if self.page else [])]

    def base(self, directory: Path) -> Path:
        """The folder for its files, where `directory` is `data.dir`."""
        if self.folder is not None:
            return directory / self.folder
        return directory if self.files else directory / self.name

    def path(self, directory: Path) -> Path:
        """What is read: its file, a pattern of files, or the folder that they fill."""
        base = self.base(directory)
        return base / self.files[0] if len(self.files) == 1 else base

    def found(self, directory: Path) -> Path | None:
        """`path`, if every file is here: beside its registry, or else in `data.dir`."""
        if self.refusal is not None:
            return None
        beside = [self.origin.parent] if self.origin is not None else []
        for place in (*beside, directory):
            if self._is_whole(self.base(place)):
                return self.path(place)
        return None

    @property
    def marker_name(self) -> str:
        """Name of a file beside the set's, there as long as a download is not at its end."""
        return f".unfinished-{self.name}"

    def _is_whole(self, base: Path) -> bool:
        if not base.is_dir():
            return False
        if self.files and all((base / name).exists() for name in self.files):
            return True
        if (base / self.marker_name).exists():
            return False
        if not self.files:
            return any(next(base.rglob(pattern), None) for pattern in DATA_FILES)
        return all(next(base.glob(name), None) is not None for name in self.files)
