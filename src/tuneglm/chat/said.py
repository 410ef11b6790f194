"""Commands on what was said: taken back, asked again, counted, written to a file and read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tuneglm.chat.transcript import read_transcript, write_transcript
from tuneglm.errors import ConfigError

if TYPE_CHECKING:
    from tuneglm.chat.conversation import Chat
    from tuneglm.chat.voices import Voice


def retry(chat: Chat, _: str) -> str:
    """Ask the last question again."""
    question = _taken_back(chat)
    if question is None:
        return "There is no answer yet to ask for again."
    chat.ask(question)
    return ""


def undo(chat: Chat, _: str) -> str:
    """Forget the last question and its answer."""
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


def tokens(chat: Chat, _: str) -> str:
    """How long the conversation is, and the last answer's tokens."""
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


def save(chat: Chat, argument: str) -> str:
    """Write the conversation."""
    path = _file(argument, "/save")
    conversations = [voice.whole(chat.config) for voice in chat.voices if voice.messages]
    if not conversations:
        return "Nothing has been said yet."
    write_transcript(path, conversations, may_replace=path.resolve() in chat.saved)
    chat.saved.add(path.resolve())
    return f"Saved in `{path}`; `data.train={path}` trains on it, `/load {path}` goes on with it."


def load(chat: Chat, argument: str) -> str:
    """Go on with one that was saved."""
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
