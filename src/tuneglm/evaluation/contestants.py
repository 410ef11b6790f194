"""Who is evaluated: what a run made, or a model; and beside it its base."""

import gc
from dataclasses import dataclass
from pathlib import Path

import torch

from tuneglm.checkpoints import RUN_FILE
from tuneglm.config import RunConfig, load_config
from tuneglm.errors import ConfigError
from tuneglm.evaluation.wanted import Wanted
from tuneglm.generate import ChatModel
from tuneglm.models import saved_family
from tuneglm.models.adapters import is_adapter
from tuneglm.models.chain import with_earlier
from tuneglm.models.loading import base_folder, local_folder, model_folder

TUNED, BASE, ALONE = "tuned", "base", "model"


@dataclass(frozen=True)
class Contestant:
    """A model by what it is loaded from."""

    name: str
    path: Path
    adapters: tuple[str, ...] = ()
    family: str | None = None

    def load(self, wanted: Wanted) -> ChatModel:
        """Read it into memory."""
        return ChatModel(
            self.path,
            family=wanted.family or self.family,
            dtype=wanted.dtype,
            bits=wanted.bits,
            adapters=self.adapters,
            device=wanted.device,
        )


def run_of(folder: Path) -> RunConfig | None:
    """The run that made a folder; None for a model that no run of ours made."""
    return load_config(folder / RUN_FILE) if (folder / RUN_FILE).is_file() else None


def contestants_of(folder: Path, run: RunConfig | None, wanted: Wanted) -> list[Contestant]:
    """The model that was named, and its base where that is wanted.

    The base is loaded by itself after the other one is gone: whatever the method, it is what
    the run began with. Raises ConfigError where there is none.
    """
    is_tuned = run is not None or is_adapter(folder) or bool(wanted.adapters)
    named = Contestant(TUNED if is_tuned else ALONE, folder, wanted.adapters)
    return [named, _base(folder, run, wanted)] if wanted.base else [named]


def _base(folder: Path, run: RunConfig | None, wanted: Wanted) -> Contestant:
    if wanted.adapters:
        return Contestant(BASE, folder)
    # what was made of it says of which family it is; its own files may leave that to a guess
    family = wanted.family or saved_family(folder)
    if is_adapter(folder):
        earlier = [str(path) for path, is_earlier in with_earlier([folder]) if is_earlier]
        return Contestant(BASE, base_folder(folder), tuple(earlier), family)
    if run is not None:
        adapters = [str(local_folder(path)) for path in run.model.adapters]
        return Contestant(BASE, model_folder(run.model), tuple(adapters), family)
    raise ConfigError(
        f"`{folder}` is a model by itself: there is no base beside which it could be evaluated.",
        "`--base` is for the output folder of a run, or with --adapter FOLDER",
    )


class Loaded:
    """Contestants in memory, one at a time, each only when it is asked for something."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._held: tuple[Contestant, ChatModel] | None = None

    def __call__(self, contestant: Contestant) -> ChatModel:
        """It, and no other one beside."""
        if self._held is None or self._held[0] != contestant:
            self._held = None
            gc.collect()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            self._held = contestant, contestant.load(self._wanted)
        return self._held[1]
