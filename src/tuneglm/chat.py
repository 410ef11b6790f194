"""The conversation in a terminal or a pipe: `tuneglm chat`."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from typing import TextIO

from tuneglm.config import ChatConfig
from tuneglm.errors import DataError, ModelError
from tuneglm.generate import ChatModel

HELP = (
    "/clear begins anew, /system TEXT sets the system message, /adapter NAME lets another answer, "
    "/quit ends; Ctrl-C ends an answer"
)


class Chat:
    """A conversation and what the commands do to it."""

    def __init__(self, model: ChatModel, config: ChatConfig, output: TextIO) -> None:
        self.model = model
        self.config = config
        self.output = output
        self.messages: list[dict[str, str]] = []

    def run(self, lines: Iterator[str]) -> None:
        """Answer line by line until `/quit` or the end of the input."""
        for line in lines:
            text = line.strip()
            if text == "/quit":
                return
            if text.startswith("/"):
                self._say(self._obey(text))
            elif text:
                self._answer(text)

    def _obey(self, text: str) -> str:
        command, _, argument = text.partition(" ")
        if command == "/clear":
            self.messages = []
            return "The conversation begins anew."
        if command == "/system":
            self.messages = []
            self.config = self.config.model_copy(update={"system": argument.strip()})
            state = "is set" if argument.strip() else "is empty"
            return f"The system message {state}; the conversation begins anew."
        if command == "/adapter":
            return self._choose(argument.strip())
        return f"There is no command `{command}`. {HELP}."

    def _choose(self, name: str) -> str:
        """Let the adapter of that name answer, in the same conversation."""
        adapters = self.model.adapters
        if not name:
            answering = ", ".join(adapters.chosen)
            return f"`{answering}` answers; there are {', '.join(adapters.names)}."
        try:
            adapters.choose(name)
        except ModelError as error:
            return str(error)
        return f"`{name}` answers from now on."

    def _answer(self, question: str) -> None:
        conversation = [*self.messages, {"role": "user", "content": question}]
        answer = ""
        try:
            with closing(self.model.stream(conversation, self.config)) as pieces:
                for piece in pieces:
                    answer += piece
                    print(piece, end="", flush=True, file=self.output)
        except KeyboardInterrupt:
            self._say(" …")
        except DataError as error:
            self._say(str(error))
        else:
            self._say("")
        if answer:
            self.messages = [*conversation, {"role": "assistant", "content": answer.strip()}]

    def _say(self, text: str) -> None:
        print(text, flush=True, file=self.output)


def chat(model: ChatModel, config: ChatConfig, words: Mapping[str, str] | None = None) -> None:
    """Talk at the terminal; from a pipe, each line is a message and only answers are printed.

    words  what is typed alone on a line → the command that it stands for
    """
    conversation = Chat(model, config, sys.stdout)
    meant = words or {}
    lines = _typed_lines() if sys.stdin.isatty() else iter(sys.stdin)
    if sys.stdin.isatty():
        print(f"{HELP}.")
    conversation.run(meant.get(line.strip(), line) for line in lines)


def _typed_lines() -> Iterator[str]:
    """Lines from the terminal, with history; a pasted text of many lines is one message."""
    from prompt_toolkit import PromptSession
    from prompt_toolkit.formatted_text import FormattedText

    ask: Callable[[], str] = PromptSession(FormattedText([("bold ansiblue", "> ")])).prompt
    while True:
        try:
            yield ask()
        except KeyboardInterrupt:
            print("/quit ends the conversation.")
        except EOFError:
            return
