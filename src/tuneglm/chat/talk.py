"""Line by line: what is typed is a question or a command."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext, suppress

from tuneglm.chat.commands import obey
from tuneglm.chat.conversation import Chat
from tuneglm.chat.typed import typed_lines
from tuneglm.chat.voices import Voice
from tuneglm.config import ChatConfig
from tuneglm.errors import UserError

WELCOME = "/help lists the commands, /quit ends; Ctrl-C ends an answer."


def chat(
    voices: Sequence[Voice], config: ChatConfig, words: Mapping[str, str] | None = None
) -> None:
    """Talk at the terminal; from a pipe, each line is a message and only answers are printed.

    words  what is typed alone on a line → the command that it stands for
    """
    is_typed = sys.stdin.isatty()
    conversation = Chat(voices, config, sys.stdout, is_typed=is_typed)
    meant = words or {}
    if not is_typed:
        run(conversation, (meant.get(line.strip(), line) for line in sys.stdin))
        return
    names = ", ".join(voice.name for voice in voices)
    conversation.screen.say(f"{names}: {WELCOME}" if len(voices) > 1 else WELCOME)
    run(conversation, (meant.get(line.strip(), line) for line in typed_lines()))


def run(conversation: Chat, lines: Iterable[str]) -> None:
    """Answer line by line until `/quit` or the end of the input."""
    for line in lines:
        text = line.strip()
        if text in ("/quit", "/exit"):
            return
        if text.startswith("/"):
            _obey(conversation, text)
        elif text:
            # Ctrl-C ends an answer, also a moment too late
            with suppress(KeyboardInterrupt) if conversation.is_typed else nullcontext():
                conversation.ask(text)


def _obey(conversation: Chat, text: str) -> None:
    try:
        said = obey(conversation, text)
    except UserError as error:
        said = str(error)
    if said:
        conversation.screen.say(said)
