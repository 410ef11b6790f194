"""The conversation in a terminal or a pipe, and many questions of a file: `tuneglm chat`."""

from tuneglm.chat.conversation import Chat, chat

__all__ = ["Chat", "chat"]
