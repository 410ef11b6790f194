"""What is typed at the terminal, with what was typed before at hand, also in other sessions."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import WordCompleter
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.history import FileHistory

from tuneglm.chat.commands import COMMANDS
from tuneglm.data.encoded_store import store_folder


def history_file() -> Path:
    """In the user's cache."""
    return store_folder("auto").parent / "chat_history"


class KeptHistory(FileHistory):
    """Lines in a file for its owner alone; one that cannot be read or written is none."""

    def load_history_strings(self) -> Iterable[str]:
        """The newest first."""
        with suppress(OSError):
            return list(super().load_history_strings())
        return []

    def store_string(self, string: str) -> None:
        """Add a line."""
        with suppress(OSError):
            path = Path(str(self.filename))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            super().store_string(string)


def typed_lines() -> Iterator[str]:
    """Lines from the terminal; a pasted text of many lines is one message."""
    session: PromptSession[str] = PromptSession(
        FormattedText([("bold ansiblue", "> ")]),
        history=KeptHistory(str(history_file())),
        completer=WordCompleter(list(COMMANDS), sentence=True),
        complete_while_typing=False,
    )
    while True:
        try:
            yield session.prompt()
        except KeyboardInterrupt:
            print("/quit ends the conversation.")
        except EOFError:
            return
