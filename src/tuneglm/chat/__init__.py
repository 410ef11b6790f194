"""The conversation in a terminal or a pipe, and many questions of a file: `tuneglm chat`."""

from tuneglm.chat.conversation import Chat
from tuneglm.chat.talk import chat, run

__all__ = ["Chat", "chat", "run"]
