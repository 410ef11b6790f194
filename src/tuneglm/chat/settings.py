"""`/set`: how answers are drawn, looked at and changed while one talks."""

from typing import Any

from tuneglm.config import ChatConfig, chat_config
from tuneglm.data.columns import nearest
from tuneglm.errors import ConfigError
from tuneglm.run_file import read_yaml

# what stands for no value at all
EMPTY = ("none", "null", "off")


def listed_settings(config: ChatConfig) -> list[tuple[str, str, str]]:
    """(name, value, what it means) of each."""
    return [
        (name, _shown(getattr(config, name)), field.description or "")
        for name, field in ChatConfig.model_fields.items()
    ]


def changed(config: ChatConfig, argument: str) -> tuple[str, ChatConfig]:
    """What `NAME VALUE` or `NAME=VALUE` makes of the settings; raises ConfigError."""
    name, _, text = argument.replace("=", " ", 1).partition(" ")
    name, text = name.replace("-", "_"), text.strip()
    known = ChatConfig.model_fields
    if name not in known:
        near = nearest(name, known)
        hint = f"did you mean `{near}`?" if near else f"known: {', '.join(known)}"
        raise ConfigError(f"There is no setting `{name}`.", hint)
    if not text and name != "system":
        now = _shown(getattr(config, name))
        raise ConfigError(f"{name} is {now}: no new value is named.", f"/set {name} VALUE")
    return name, chat_config(config.model_dump() | {name: _value(name, text)})


def _value(name: str, text: str) -> Any:
    if name == "system":
        return text
    return None if text.lower() in EMPTY else read_yaml(text)


def _shown(value: object) -> str:
    return "none" if value in (None, "") else str(value)
