"""What a server has: a model, its adapters by the names that requests choose them by."""

import logging
import time
from collections.abc import Mapping
from pathlib import Path

from tuneglm.api.refusals import Refusal, no_such_model
from tuneglm.checkpoints import refuse_unfinished, run_within
from tuneglm.errors import ConfigError, ModelError
from tuneglm.generate import ChatModel
from tuneglm.models.adapters import is_adapter
from tuneglm.models.loading import base_folder, local_folder, resolved_family
from tuneglm.models.named_adapters import BASE, can_be_switched
from tuneglm.models.precision import Width
from tuneglm.serve_config import ServeConfig

log = logging.getLogger(__name__)


class Served:
    """The model, and name in a request → name of an adapter, or `base`."""

    def __init__(self, chat: ChatModel, names: Mapping[str, str]) -> None:
        self.chat = chat
        self.names = dict(names)
        self.since = {name: int(time.time()) for name in names}

    def adapter_of(self, name: str) -> str:
        """Raises Refusal for a name that is not served."""
        if name not in self.names:
            raise no_such_model(name)
        return self.names[name]

    def add(self, name: str, folder: Path) -> None:
        """Load one more adapter; raises Refusal. To be called by whoever owns the model."""
        if name in self.names:
            raise Refusal(409, f"There is a model `{name}` already.", param="name")
        try:
            self.chat.adapters.add(name, folder)
        except ModelError as error:
            raise Refusal(400, error.sentence, param="path", code="invalid_adapter") from None
        self.names[name] = name
        self.since[name] = int(time.time())

    def remove(self, name: str) -> None:
        """Take one away that nobody uses, after its name was hidden."""
        self.chat.adapters.remove(name)

    def hide(self, name: str) -> None:
        """No request finds it from now on; raises Refusal for the base, and what is not there."""
        adapter = self.adapter_of(name)
        if adapter == BASE:
            raise Refusal(400, f"`{name}` is the model itself, which stays.", param="name")
        del self.names[name], self.since[name]


def load_served(
    path: str,
    config: ServeConfig,
    adapters: Mapping[str, str],
    *,
    family: str | None = None,
    dtype: str | None = None,
    bits: Width | None = None,
    device: str | None = None,
) -> Served:
    """Load a model, or a run's result: its adapter goes by the run's name, its base by `base`.

    Raises ModelError, and ConfigError where two would have one name.
    """
    found = run_within(path)
    refuse_unfinished(found.expanduser())
    folder = local_folder(found)
    name = config.name or folder.resolve().name
    named: dict[str, str | Path] = dict(adapters)
    if name == BASE:
        raise ConfigError(
            "`base` is what the model without adapters is called.", "name this one: --name star"
        )
    is_switched = is_adapter(folder) and can_be_switched(folder)
    names = {name: name, BASE: BASE} if is_switched else {name: BASE}
    for other in adapters:
        if other in names:
            raise ConfigError(
                f"Two models would be called `{other}`.", "give the adapter another name"
            )
    chat = ChatModel(
        base_folder(folder) if is_switched else found,
        family=family or resolved_family(folder).name,
        dtype=dtype,
        bits=bits,
        adapters={name: folder, **named} if is_switched else named,
        device=device,
    )
    chat.adapters.choose(BASE)
    return Served(chat, {**names, **{other: other for other in adapters}})
