"""Runs beside each other: in which settings they differ, as a table."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from tuneglm.checkpoints import RUN_FILE
from tuneglm.config import load_config
from tuneglm.errors import UserError
from tuneglm.web.runs import Run
from tuneglm.web.words import Words

# its own folder is what every run has otherwise
LEFT_OUT = ("training.output_dir",)


def differences(runs: Sequence[Run], words: Words) -> str:
    """As HTML; nothing of a single run, nor of runs that were told the same."""
    told = [_settings(run) for run in runs]
    keys = [key for key in dict.fromkeys(key for one in told for key in one) if key not in LEFT_OUT]
    rows = [(key, [one.get(key, "") for one in told]) for key in keys]
    lines = "".join(
        f"<tr><th>{escape(key)}</th>{''.join(f'<td>{escape(value)}</td>' for value in values)}</tr>"
        for key, values in rows
        if len(set(values)) > 1
    )
    if not lines:
        return ""
    names = "".join(f"<th>{escape(run.name)}</th>" for run in runs)
    head = f"<tr><th>{words('run.differ')}</th>{names}</tr>"
    return f'<div class="differences"><table>{head}{lines}</table></div>'


def _settings(run: Run) -> dict[str, str]:
    """Each setting of a run by its key; nothing where its file is none of ours."""
    try:
        config = load_config(run.folder / RUN_FILE)
    except UserError:
        return {}
    return dict(_flat(config.model_dump(mode="json", exclude_none=True)))


def _flat(tree: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{before}{key}.")
        elif value not in ([], {}):
            yield f"{before}{key}", _short(value)


def _short(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_short, value))
    if isinstance(value, Mapping):
        # of a set its name, or its file's
        return str(value.get("name") or value.get("path") or dict(value))
    return str(value).lower() if isinstance(value, bool) else str(value)
