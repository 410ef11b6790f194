"""Where a row's tokens stand, in the way that its network counts them."""

from typing import Any

import torch

from tuneglm.models.family import Family
from tuneglm.writing.row import Row


def place(row: Row, config: Any, family: Family) -> None:
    """Say where a row's tokens stand, and which of them see each other.

    Raises ValueError for a prompt in which the network does not find what it looks for.
    """
    ids = row.prompt + row.prompt[-1:] * row.longest
    given, contexts = family.place_rows(config, torch.tensor([ids]), (len(ids),))
    found = given[0] if given.ndim == 3 else given
    row.positions, row.context = found.T.tolist(), contexts[0]


def shaped_positions(positions: torch.Tensor) -> torch.Tensor:
    """(rows, new, 1 or 2) → as the network takes them: (rows, new) or (rows, 2, new)."""
    return positions[..., 0] if positions.shape[-1] == 1 else positions.transpose(1, 2)
