"""What may be typed in place of a question: `/name argument`, one small function each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tuneglm.chat.said import load, retry, save, tokens, undo
from tuneglm.chat.settings import changed, listed_settings
from tuneglm.data.columns import nearest
from tuneglm.errors import ConfigError

if TYPE_CHECKING:
    from tuneglm.chat.conversation import Chat


@dataclass(frozen=True)
class Command:
    """A command.

    words  how it is typed, its name first
    text   what it does
    run    (conversation, what stands behind the name) → what is to be said
    """

    words: str
    text: str
    run: Callable[[Chat, str], str]


def obey(chat: Chat, text: str) -> str:
    """Do what a line asks for; raises UserError where it cannot be done."""
    name, _, argument = text.partition(" ")
    if name not in COMMANDS:
        near = nearest(name, COMMANDS)
        hint = f"did you mean `{near}`? " if near else ""
        raise ConfigError(f"There is no command `{name}`.", f"{hint}/help lists them all")
    return COMMANDS[name].run(chat, argument.strip())


def _help(chat: Chat, _: str) -> str:
    chat.screen.table([(each.words, each.text) for each in COMMANDS.values()])
    return ""


def _set(chat: Chat, argument: str) -> str:
    if not argument:
        chat.screen.table(listed_settings(chat.config))
        return ""
    name, config = changed(chat.config, argument)
    if name == "system":
        return _system(chat, config.system or "-")
    chat.config = config
    return f"{name} is {getattr(config, name)}."


def _system(chat: Chat, argument: str) -> str:
    if not argument and chat.config.system:
        return f"The system message is `{chat.config.system}`; `/system -` takes it away."
    if not argument:
        return "There is no system message; `/system TEXT` sets one, and begins anew."
    argument = "" if argument == "-" else argument
    chat.begin_anew()
    chat.config = chat.config.model_copy(update={"system": argument})
    state = "is set" if argument else "is empty"
    return f"The system message {state}; the conversation begins anew."


def _clear(chat: Chat, _: str) -> str:
    chat.begin_anew()
    return "The conversation begins anew."


def _adapter(chat: Chat, argument: str) -> str:
    if len(chat.voices) > 1:
        return "Several answer here already, each by its own name."
    adapters = chat.voices[0].model.adapters
    if not argument and len(adapters.names) == 1:
        return "One answers here; `--adapter NAME=FOLDER` gives others to choose from."
    if not argument:
        answering = ", ".join(adapters.chosen)
        return f"`{answering}` answers; there are {', '.join(adapters.names)}."
    adapters.choose(argument)
    return f"`{argument}` answers from now on."


def _quit(_: Chat, __: str) -> str:
    return "/quit stands alone."


COMMANDS: dict[str, Command] = {
    "/help": Command("/help", "this list", _help),
    "/set": Command("/set [NAME VALUE]", "how answers are drawn: show it, or change it", _set),
    "/system": Command(
        "/system [TEXT]", "show the system message, or set it and begin anew", _system
    ),
    "/clear": Command("/clear", "begin anew", _clear),
    "/retry": Command("/retry", "ask the last question again", retry),
    "/undo": Command("/undo", "forget the last question and its answer", undo),
    "/tokens": Command("/tokens", "how long the conversation is, the last answer's tokens", tokens),
    "/save": Command("/save FILE", "write the conversation, as data.train reads it", save),
    "/load": Command("/load FILE", "go on with a conversation that was saved", load),
    "/adapter": Command("/adapter [NAME]", "let another adapter answer, or `base`", _adapter),
    "/quit": Command("/quit", "end; so does Ctrl-D", _quit),
}
