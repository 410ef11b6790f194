"""`tuneglm data list` and `data download`: what there is, what is here, and fetching it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tuneglm.data.download import downloaded
from tuneglm.data.registered_set import RegisteredSet
from tuneglm.data.registry import known_sets, set_notes, usable_set
from tuneglm.data_config import DataConfig
from tuneglm.hub import Hub

# columns of the table, and the narrowest terminal in which each is shown
_COLUMNS = {
    "name": 0,
    "rows": 0,
    "here": 0,
    "use": 54,
    "licence": 70,
    "language": 80,
    "size": 90,
}
_USE = {"none": "any", "unstated": "not stated"}


def list_sets(config: DataConfig, *, as_json: bool, console: Console | None = None) -> None:
    """Print every set that a run may name: a table, or with `as_json` an object a line."""
    known, directory = known_sets(config), Path(config.dir).expanduser()
    if as_json:
        for name, registered in known.items():
            print(json.dumps(_record(name, registered, directory), ensure_ascii=False))
        return
    console = console or Console(highlight=False)
    console.print(_table(known, directory, console.width))
    here = sum(registered.found(directory) is not None for registered in known.values())
    console.print(
        f"{here} of {len(known)} are in {escape(str(directory))}. "
        "Fetch one:  [bold]tuneglm data download NAME[/]"
    )


def _record(name: str, registered: RegisteredSet, directory: Path) -> dict[str, Any]:
    path, origin = registered.found(directory), registered.origin
    fields = ("rows", "size", "language", "licence", "restriction", "huggingface", "modelscope")
    return {
        "name": name,
        **{field: getattr(registered, field) for field in fields},
        "path": None if path is None else str(path),
        "description": registered.description,
        "aliases": list(registered.aliases),
        "registry": None if origin is None else str(origin),
    }


def _table(known: Mapping[str, RegisteredSet], directory: Path, width: int) -> Table:
    shown = [column for column, narrowest in _COLUMNS.items() if width >= narrowest]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in shown:
        right = column in ("rows", "size")
        widest = min(24, max(map(len, known))) if column == "name" else None
        table.add_column(
            column, justify="right" if right else "left", overflow="fold", min_width=widest
        )
    for name, registered in known.items():
        cells = _cells(name, registered, directory)
        table.add_row(*(escape(cells[column]) for column in shown))
    return table


def _cells(name: str, registered: RegisteredSet, directory: Path) -> dict[str, str]:
    return {
        "name": name,
        "rows": "" if registered.rows is None else f"{registered.rows:,}",
        "size": registered.size or "",
        "language": registered.language,
        "licence": registered.licence,
        "use": _USE.get(registered.restriction, registered.restriction),
        "here": "" if registered.found(directory) is None else "yes",
    }


def download_sets(names: Sequence[str], config: DataConfig, hub: Hub | None = None) -> None:
    """Fetch sets into `data.dir` and say where each is; raises DataError for one that fails."""
    known, directory = known_sets(config), Path(config.dir).expanduser()
    wanted = [usable_set(name, known) for name in names]
    for registered in wanted:
        path = registered.found(directory)
        if path is None:
            path = downloaded(registered, directory, hub)
            print(f"{registered.name}: {path}")
        else:
            print(f"{registered.name} is here already: {path}")
        for note in set_notes([(registered, path)]):
            print(f"Note: {note}")
