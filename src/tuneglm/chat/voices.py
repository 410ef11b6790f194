"""Who answers: a model, or one adapter of it; and beside it another, to compare the two."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tuneglm.chat.repetition import is_circle
from tuneglm.checkpoints import RUN_FILE
from tuneglm.config import ChatConfig, load_config
from tuneglm.errors import ConfigError, ModelError
from tuneglm.generate import ChatModel
from tuneglm.models.adapters import is_adapter
from tuneglm.models.loading import base_folder, local_folder, resolved_family
from tuneglm.models.named_adapters import BASE, can_be_switched

Messages = list[dict[str, str]]


@dataclass
class Voice:
    """One that answers, and its side of the conversation.

    adapter  what is chosen of the model's adapters before it answers; "": as it stands
    """

    name: str
    model: ChatModel
    adapter: str = ""
    messages: Messages = field(default_factory=list)

    def whole(self, config: ChatConfig) -> Messages:
        """The conversation with the system message that it is asked with."""
        has_its_own = any(each["role"] == "system" for each in self.messages)
        if has_its_own or not config.system:
            return list(self.messages)
        return [{"role": "system", "content": config.system}, *self.messages]

    def stream(self, conversation: Messages, config: ChatConfig) -> Generator[str, None, None]:
        """The answer in pieces; see `ChatModel.stream`."""
        self._take_over()
        return self.model.stream(conversation, config)

    def replies(self, conversations: Sequence[Messages], config: ChatConfig) -> list[str]:
        """The answers that one by one would be given: where chance draws, they are.

        One that runs in a circle ends there, with more of its copies than are meant.
        """
        self._take_over()
        if config.temperature > 0:
            alone = ([each] for each in conversations)
            return [self.model.replies(each, config, enough=is_circle)[0] for each in alone]
        return self.model.replies(conversations, config, enough=is_circle)

    def _take_over(self) -> None:
        if self.adapter:
            self.model.adapters.choose(self.adapter)


@dataclass(frozen=True)
class Asked:
    """Which models are to answer, as the command line names them.

    adapters  folders that are all active, or a folder for each name
    compare   `base`: the model without what was trained, beside it
    options   `family`, `dtype`, `bits` and `device` of `ChatModel`
    """

    paths: Sequence[str]
    adapters: Sequence[str] | Mapping[str, str] = ()
    compare: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


def voices_of(asked: Asked) -> list[Voice]:
    """The models, loaded; raises ConfigError for what does not go together."""
    if len(asked.paths) > 1:
        if asked.adapters or asked.compare:
            option = "--adapter" if asked.adapters else "--compare"
            raise ConfigError(
                f"`{option}` goes with one model, and {len(asked.paths)} are named.",
                "name the adapters' folders in place of models: tuneglm chat A B",
            )
        return _apart(asked.paths, asked.options)
    (path,) = asked.paths
    if asked.compare:
        return _beside_base(path, asked)
    return [Voice(_short(path), ChatModel(path, adapters=asked.adapters, **asked.options))]


def _beside_base(path: str, asked: Asked) -> list[Voice]:
    """What was trained, switched off and on in one model where that can be, else two models."""
    named = asked.adapters
    if not isinstance(named, Mapping):
        named = {_short(adapter): adapter for adapter in named}
    if named:
        model = ChatModel(path, adapters=named, **asked.options)
        return [Voice(name, model, name) for name in (BASE, next(iter(named)))]
    folder = local_folder(path)
    options = _known_family(path, asked.options)
    if not is_adapter(folder):
        return _apart((_base_of_run(folder), path), options)
    base, name = base_folder(folder), _short(path)
    if not can_be_switched(folder):
        return _apart((str(base), path), options)
    model = ChatModel(base, adapters={name: path}, **options)
    return [Voice(each, model, each) for each in (BASE, name)]


def _base_of_run(folder: Path) -> str:
    if not (folder / RUN_FILE).is_file():
        raise ModelError(
            f"`{folder}` is a whole model, and nothing in it says what it was made of.",
            f"name both: tuneglm chat BASE {folder}",
        )
    return load_config(folder / RUN_FILE).model.path


def _known_family(path: str, options: Mapping[str, Any]) -> Mapping[str, Any]:
    """The family that an adapter's folder tells, where its base's does not."""
    family = options.get("family") or resolved_family(local_folder(path)).name
    return {**options, "family": family}


def _apart(paths: Sequence[str], options: Mapping[str, Any]) -> list[Voice]:
    """Each a model of its own, by its folder's name where these differ."""
    names = [_short(path) for path in paths]
    if len(set(names)) < len(names):
        names = [str(path) for path in paths]
    if len(set(names)) < len(names):
        raise ConfigError(f"`{paths[0]}` is named twice.", "name two models to compare them")
    return [
        Voice(name, ChatModel(path, **options)) for name, path in zip(names, paths, strict=True)
    ]


def _short(path: str) -> str:
    """A folder's own name."""
    return Path(path).expanduser().resolve().name or path
