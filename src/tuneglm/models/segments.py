"""Where packed rows begin and end, as their attention is told."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

KeysValues = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Segments:
    """Rows that lie one after another.

    lengths   tokens of each row
    contexts  tokens at each row's start that see each other; 0 in a causal model
    attend    what takes the place of `attend_pieces` for them; None: nothing does
    """

    lengths: tuple[int, ...]
    contexts: tuple[int, ...]
    attend: Callable[..., Tensor] | None = None
