"""The evaluation loss of each kind of task, where the rows say of which kind they are."""

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from tuneglm.data.collate import Item


def kinds_of(items: Iterable[Item]) -> tuple[str, ...]:
    """The kinds of rows, or of the rows of groups, each once."""
    rows = (row for item in items for row in (item if isinstance(item, tuple) else (item,)))
    return tuple(sorted({row.kind for row in rows}))


def sums_by_kind(
    losses: Tensor, is_trained: Tensor, row: Tensor, kinds: Sequence[int], count: int
) -> Tensor:
    """(rows, kinds, 2): the losses of each row's tokens and their number, kind by kind.

    losses, is_trained, row  (…): of each position; losses are 0 where nothing is trained
    kinds                    the number of each row's kind, one of `count`
    """
    pairs = torch.stack((losses, is_trained.to(losses)), dim=-1).view(-1, 2)
    place = row * count + torch.tensor(kinds, device=row.device)[row]
    zeros = torch.zeros(len(kinds) * count, 2, dtype=losses.dtype, device=losses.device)
    return zeros.index_add_(0, place.flatten(), pairs).view(len(kinds), count, 2)


def row_of_tokens(inputs: Mapping[str, Tensor], positions: Tensor) -> Tensor:
    """(rows, positions) of a padded batch, (1, positions) of a packed one: the row of each."""
    if "row_lengths" not in inputs:
        rows = torch.arange(len(inputs["input_ids"]), device=positions.device)
        return rows[:, None].expand(-1, len(positions))
    ends = inputs["row_lengths"][0].cumsum(0)
    return torch.searchsorted(ends, positions, right=True)[None]


def rows_in(inputs: Mapping[str, Tensor]) -> int:
    """How many rows a padded or packed batch has."""
    return inputs["row_lengths"].numel() if "row_lengths" in inputs else len(inputs["input_ids"])


def losses_by_kind(sums: Tensor, kinds: Sequence[str], prefix: str) -> dict[str, float]:
    """Names of metrics → mean losses, where there are several kinds; `sums` is (kinds, 2)."""
    if len(kinds) < 2:
        return {}
    pairs = zip(kinds, sums.tolist(), strict=True)
    return {
        f"{prefix}_{kind or 'other'}": loss / tokens for kind, (loss, tokens) in pairs if tokens
    }
