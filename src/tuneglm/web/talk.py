"""The models that answer on the page: loaded when they are first asked, few at a time."""

from collections import OrderedDict
from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from tuneglm.config import ChatConfig
from tuneglm.errors import ModelError

if TYPE_CHECKING:
    # the page is there before torch is
    from tuneglm.generate import ChatModel, Conversation

BASE, TUNED = "base", "tuned"
# how many are held: somebody who compares two may go to and fro
HELD = 2


class Models:
    """Models by folder; one of them answers at a time."""

    def __init__(self) -> None:
        self._held: OrderedDict[str, ChatModel] = OrderedDict()
        self._lock = Lock()

    def stream(
        self,
        path: str,
        conversation: "Conversation",
        config: ChatConfig,
        *,
        base: str | None = None,
    ) -> Generator[str, None, None]:
        """The answer in pieces; with `base` that of the model beneath, not of what is at `path`.

        base  the model that a run began with

        Raises UserError for a model that cannot be loaded, and for a conversation that is too long.
        """
        import torch

        with self._lock:
            try:
                model = self._answering(path, base)
                with closing(model.stream(conversation, config)) as pieces:
                    yield from pieces
            except torch.OutOfMemoryError:
                self._held.clear()
                raise ModelError(
                    "There is not enough memory for an answer.",
                    "wait until no run is at work, or ask with less text",
                ) from None

    @property
    def held(self) -> tuple[str, ...]:
        """The folders of those that are loaded, the one that answered last at the end."""
        return tuple(self._held)

    def _answering(self, path: str, base: str | None) -> "ChatModel":
        """Base and tuned of an adapter share their weights where the adapter can be switched."""
        model = self._loaded(path)
        switches = len(model.adapters.names) > 1
        if switches:
            model.adapters.choose(TUNED if base is None else BASE)
            return model
        return model if base is None else self._loaded(base)

    def _loaded(self, path: str) -> "ChatModel":
        if path in self._held:
            self._held.move_to_end(path)
            return self._held[path]
        while len(self._held) >= HELD:
            self._held.popitem(last=False)
        model = _load(path)
        self._held[path] = model
        return model


def _load(path: str) -> "ChatModel":
    from tuneglm.generate import ChatModel
    from tuneglm.models.loading import base_folder, is_adapter

    folder = Path(path)
    if is_adapter(folder):
        try:
            return ChatModel(base_folder(folder), adapters={TUNED: folder})
        except ModelError:
            # what takes the place of the base's own weights cannot be switched off
            return ChatModel(path)
    return ChatModel(path)


def turns(history: Sequence[Any], question: str | None = None) -> list[dict[str, str]]:
    """The page's history → a conversation; what somebody typed may come in pieces."""
    conversation = [{"role": turn["role"], "content": _text(turn["content"])} for turn in history]
    if question is not None:
        conversation.append({"role": "user", "content": question})
    return conversation


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content if isinstance(part, dict))
