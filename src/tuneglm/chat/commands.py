"""What may be typed in place of a question: `/name argument`, one small function each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tuneglm.chat.settings import changed, listed_settings
from tuneglm.chat.transcript import read_transcript, write_transcript
from tuneglm.data.columns import nearest
from tuneglm.errors import ConfigError

if TYPE_CHECKING:
    from tuneglm.chat.conversation import Chat
    from tuneglm.chat.voices import Voice


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


def _retry(chat: Chat, _: str) -> str:
    question = _taken_back(chat)
    if question is None:
        return "There is no answer yet to ask for again."
    chat.ask(question)
    return ""


def _undo(chat: Chat, _: str) -> str:
    question = _taken_back(chat)
    if question is None:
        return "There is nothing to take back."
    first = question.splitlines()[0][:60]
    return f"Taken back: `{first}` and what was answered."


def _taken_back(chat: Chat) -> str | None:
    """The last question, which is forgotten with its answers."""
    questions = []
    for voice in chat.voices:
        places = [at for at, each in enumerate(voice.messages) if each["role"] == "user"]
        if places:
            questions.append((len(places), voice, places[-1]))
    if not questions:
        return None
    # one that was not answered by all of them is further back in the others
    most = max(count for count, _, _ in questions)
    question = ""
    for count, voice, place in questions:
        if count == most:
            question = voice.messages[place]["content"]
            voice.messages = voice.messages[:place]
    return question


def _tokens(chat: Chat, _: str) -> str:
    return "\n".join(_counted(chat, voice) for voice in chat.voices)


_VISIBLE = {ord("\n"): "⏎", ord(" "): "␣", ord("\t"): "⇥"}


def _counted(chat: Chat, voice: Voice) -> str:
    name = f"{voice.name}: " if len(chat.voices) > 1 else ""
    messages = voice.whole(chat.config)
    if not messages or messages[-1]["role"] != "assistant":
        return f"{name}Nothing has been said yet."
    model = voice.model
    ids, before = model.conversation_ids(messages), len(model.prompt(messages[:-1]))
    room = model.longest
    of_room = "" if room is None else f" of {room:,} that the model reads"
    answer = ids[before:]
    # a space, and what the format adds and is no text, are seen too
    pieces = [model.decode([each]).translate(_VISIBLE) or "·" for each in answer]
    return (
        f"{name}{len(ids):,} tokens{of_room}; the last answer has {len(answer):,}:\n"
        f"{'|'.join(pieces)}"
    )


def _save(chat: Chat, argument: str) -> str:
    path = _file(argument, "/save")
    conversations = [voice.whole(chat.config) for voice in chat.voices if voice.messages]
    if not conversations:
        return "Nothing has been said yet."
    write_transcript(path, conversations, may_replace=path.resolve() in chat.saved)
    chat.saved.add(path.resolve())
    return f"Saved in `{path}`; `data.train={path}` trains on it, `/load {path}` goes on with it."


def _load(chat: Chat, argument: str) -> str:
    path = _file(argument, "/load")
    found = read_transcript(path)
    if len(found) not in (1, len(chat.voices)):
        return f"`{path}` holds {len(found)} conversations, and {len(chat.voices)} answer here."
    each_its_own = found if len(found) > 1 else found * len(chat.voices)
    for voice, messages in zip(chat.voices, each_its_own, strict=True):
        voice.messages = list(messages)
    count = len(found[0])
    return f"Loaded {count} message{'' if count == 1 else 's'} of `{path}`; ask on."


def _file(argument: str, command: str) -> Path:
    if not argument:
        raise ConfigError("No file is named.", f"{command} conversation.json")
    return Path(argument).expanduser()


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
    "/retry": Command("/retry", "ask the last question again", _retry),
    "/undo": Command("/undo", "forget the last question and its answer", _undo),
    "/tokens": Command(
        "/tokens", "how long the conversation is, the last answer's tokens", _tokens
    ),
    "/save": Command("/save FILE", "write the conversation, as data.train reads it", _save),
    "/load": Command("/load FILE", "go on with a conversation that was saved", _load),
    "/adapter": Command("/adapter [NAME]", "let another adapter answer, or `base`", _adapter),
    "/quit": Command("/quit", "end; so does Ctrl-D", _quit),
}
