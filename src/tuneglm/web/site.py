"""What the page was started with, and what of it is whose."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tuneglm.data.registry import known_sets
from tuneglm.data_config import DataConfig
from tuneglm.demo import MODEL_FOLDER
from tuneglm.errors import ConfigError, ModelError
from tuneglm.web.files import USERS, Workplace
from tuneglm.web.runs import Run, runs_of

DEMO = "demo"


@dataclass(frozen=True)
class Site:
    """The whole page.

    work     the folder of it all
    is_open  whether whoever sees the page owns the machine: any model may be named
    models   name → folder of those that everybody may use
    data     folder of the named sets
    at_once  how many runs may be at work
    """

    work: Workplace
    is_open: bool
    models: Mapping[str, Path]
    data: Path
    at_once: int = 2

    def place(self, user: str | None) -> Workplace:
        """Somebody's own workplace."""
        if self.is_open:
            return self.work
        assert user is not None, "nobody sees this page without a name"
        place = self.work.of_user(user)
        place.root.mkdir(parents=True, exist_ok=True)
        return place

    def model_path(self, text: str) -> str:
        """A model's name, or on one's own machine a path or a hub's id → what a run file has."""
        name = (text or "").strip()
        if name in self.models:
            return str(self.models[name])
        if not name:
            raise ConfigError("No model is chosen.", "choose one of the list")
        if not self.is_open:
            raise ModelError(
                f"There is no model `{name}` here.",
                f"known: {', '.join(self.models)}; whoever runs the page adds others by --models",
            )
        return name

    def answering(self, place: Workplace) -> dict[str, Path]:
        """Name → folder of what can be talked to: runs with a result, exports, models."""
        found = {run.name: run.folder for run in runs_of(place) if run.state() == "finished"}
        found |= {f"exports/{folder.name}": folder for folder in place.exports()}
        return found | dict(self.models)

    def answering_path(self, place: Workplace, text: str) -> str:
        """As `model_path`, for what can be talked to."""
        name = (text or "").strip()
        known = self.answering(place)
        return str(known[name]) if name in known else self.model_path(name)

    def base_of(self, place: Workplace, name: str) -> str:
        """The model that a run tuned; raises ModelError for what is no run."""
        run = next((run for run in runs_of(place) if run.name == name), None)
        if run is None:
            raise ModelError(
                f"`{name}` was not tuned here, so there is no base to show.", "choose a run"
            )
        return run.base()

    def data_choices(self, place: Workplace) -> list[str]:
        """Files of the workplace, then the names of the registry."""
        return [*place.data(), *known_sets(DataConfig(dir=str(self.data)))]

    def entry(self, place: Workplace, name: str) -> dict[str, str]:
        """A chosen name → an entry of `data.train`."""
        if name in place.data():
            return {"path": str(place.data_file(name))}
        if name in known_sets(DataConfig(dir=str(self.data))):
            return {"name": name}
        # says what is not there
        return {"path": str(place.data_file(name))}

    def at_work(self) -> int:
        """How many runs are at work, of everybody."""
        places = [self.work]
        if (self.work.root / USERS).is_dir() and not self.is_open:
            places += [
                self.work.of_user(folder.name)
                for folder in (self.work.root / USERS).iterdir()
                if folder.is_dir() and not folder.is_symlink()
            ]
        return sum(run.process.is_running() for place in places for run in runs_of(place))

    def first_run(self, place: Workplace) -> Run | None:
        """The one that something happened to last."""
        return next(iter(runs_of(place)), None)


def named_models(folders: list[Path]) -> dict[str, Path]:
    """Name → folder of the demo's model, and of the models in these folders.

    Each is a model's folder or holds some; raises ModelError for one that does not.
    """
    found = {DEMO: MODEL_FOLDER}
    for folder in (path.expanduser() for path in folders):
        inner = [folder] if _is_model(folder) else []
        if not inner and folder.is_dir():
            inner = [path for path in sorted(folder.iterdir()) if _is_model(path)]
        if not inner:
            raise ModelError(
                f"`{folder}` is no model, and holds none.",
                "--models takes folders with config.json",
            )
        for path in inner:
            name = path.name
            while name in found:
                name = f"{path.parent.name}/{name}" if name == path.name else f"{name}+"
            found[name] = path.absolute()
    return found


def _is_model(folder: Path) -> bool:
    return os.access(folder, os.X_OK) and (folder / "config.json").is_file()
