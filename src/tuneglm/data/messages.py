"""The records of a conversation, from a data file or a chat to token ids.

    file row ──formats──▶ Example(messages) ──a family's renderer──▶ Rendered(ids, trained, special)

No tokenizer and no model family is known here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Role = Literal["system", "user", "assistant", "tool"]
ROLES: tuple[Role, ...] = ("system", "user", "assistant", "tool")
FLAGS = (b"\0", b"\1")  # of a token for which something is not so, or is


@dataclass(frozen=True, slots=True)
class Message:
    """One turn.

    `metadata` is what stands on the role's own line (the name of a tool that is
    called, for the families that know such a line); `trained` is None where the
    run's rule (`data.train_on`) decides.
    """

    role: Role
    content: str
    metadata: str = ""
    tool_calls: Sequence[Mapping[str, Any]] = ()
    trained: bool | None = None

    def with_trained(self, trained: bool) -> "Message":
        """The same message, trained or not."""
        return Message(self.role, self.content, self.metadata, self.tool_calls, trained)


@dataclass(frozen=True, slots=True)
class Source:
    """Where a row came from: data set, file, line, and the row's own number (both from 1)."""

    dataset: str
    file: str
    line: int
    row: int

    def __str__(self) -> str:
        # several rows may begin on one line, and one row may fill several
        number = "" if self.row == self.line else f", row {self.row}"
        return f"{self.file}:{self.line}{number}"


@dataclass(frozen=True, slots=True)
class Example:
    """One conversation of a data set, or of a chat (then without a source).

    `kind` is what kind of task it is, where the set says it.
    """

    messages: tuple[Message, ...]
    tools: tuple[Mapping[str, Any], ...] = ()
    source: Source | None = None
    kind: str = ""

    def with_messages(self, messages: Sequence[Message]) -> "Example":
        """The same row with other messages."""
        return Example(tuple(messages), self.tools, self.source, self.kind)


@dataclass(frozen=True, slots=True)
class Rendered:
    """What the model sees of an example; three sequences of one length.

    ids      token ids
    trained  1 where the model is taught to produce this token, else 0
    special  1 where the format itself put the token there (roles, their line
             ends, end tokens), else 0: such a token is never cut away
    """

    ids: list[int] = field(default_factory=list)
    trained: bytearray = field(default_factory=bytearray)
    special: bytearray = field(default_factory=bytearray)

    def __len__(self) -> int:
        return len(self.ids)

    def extend(self, ids: Sequence[int], *, trained: bool = False, special: bool = False) -> None:
        """Append a piece of one kind."""
        self.ids.extend(ids)
        self.trained.extend(FLAGS[trained] * len(ids))
        self.special.extend(FLAGS[special] * len(ids))
