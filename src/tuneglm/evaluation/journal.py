"""The folder of an evaluation: what was asked, and what is done; an interrupted one goes on."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tuneglm.checkpoints import writable
from tuneglm.errors import OutputError
from tuneglm.lock import locked

JOURNAL_FILE = "evaluation.json"
ANOTHER = "choose another folder: --output FOLDER"


class Journal:
    """Steps that are done, each by its name, with what it found out."""

    def __init__(self, folder: Path, settings: Mapping[str, Any], done: dict[str, Any]) -> None:
        self.folder, self._settings, self._done = folder, settings, done

    @property
    def is_begun(self) -> bool:
        """Whether there are steps of an earlier call."""
        return bool(self._done)

    def has(self, name: str) -> bool:
        """Whether a step is done."""
        return name in self._done

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """What a step found out: earlier, or now. It is of what JSON knows."""
        if name not in self._done:
            self._done[name] = make()
            self._write()
        return self._done[name]

    def _write(self) -> None:
        content = {"settings": self._settings, "done": self._done}
        unfinished = self.folder / f"{JOURNAL_FILE}.unfinished"
        with writable(self.folder):
            unfinished.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
            unfinished.replace(self.folder / JOURNAL_FILE)


@contextmanager
def journal_in(folder: Path, settings: Mapping[str, Any]) -> Iterator[Journal]:
    """The folder for this process alone.

    Raises OutputError where it holds something else, or an evaluation with other settings.
    """
    done = _done(folder, settings)
    with writable(folder):
        pass
    with locked(folder, 0.5, f"wait until it ends, or {ANOTHER}"):
        yield Journal(folder, settings, done)


def _done(folder: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    file = folder / JOURNAL_FILE
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"`{folder}` is a file.", ANOTHER)
    if not file.is_file():
        if folder.is_dir() and any(folder.iterdir()):
            raise OutputError(
                f"`{folder}` is not empty, and what it holds is not an evaluation.", ANOTHER
            )
        return {}
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        earlier, done = content["settings"], dict(content["done"])
    except (ValueError, KeyError, TypeError):
        raise OutputError(f"`{file}` is not readable.", ANOTHER) from None
    for name, value in settings.items():
        before = earlier.get(name)
        if before != value:
            shown = f": `{before}`, and now `{value}`" if _is_short(before, value) else ""
            raise OutputError(f"`{folder}` holds an evaluation with other {name}{shown}.", ANOTHER)
    return done


def _is_short(*values: Any) -> bool:
    return all(isinstance(value, str | int | float | bool) for value in values)
