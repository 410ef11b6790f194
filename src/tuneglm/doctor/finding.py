"""Finding: one thing that was looked at, and what is to be done about it."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from tuneglm.errors import UserError

State = Literal["well", "note", "ill"]


@dataclass(frozen=True)
class Finding:
    """One line.

    what    what was looked at
    state   well; note: something is missed, and all else works; ill: something will not work
    words   what was found
    remedy  what to do; "" where there is nothing
    """

    what: str
    state: State
    words: str
    remedy: str = ""

    def as_json(self) -> dict[str, Any]:
        """As an object."""
        return asdict(self)


def of_error(what: str, error: UserError) -> Finding:
    """A person's error as a finding."""
    return Finding(what, "ill", error.sentence, error.hint or "")
