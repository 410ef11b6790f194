"""The evaluation loss of each kind of task, where the rows say of which kind they are."""

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from tuneglm.data.collate import Item


def kinds_of(items: Iterable[Item]) -> tuple[str, ...]:
    """The kinds of rows, or of the rows of groups, each once."""
    rows = (row for item in items for row in (item if isinstance(item, tuple) else (item,)))
    return tuple(sorted({row.kind for row in rows}))


def sums_by_kind(losses: Tensor, is_trained: Tensor, kind: Tensor, count: int) -> Tensor:
    """(rows, kinds, 2): the losses of each row's tokens and their number, kind by kind.

    losses, is_trained, kind  (rows, positions); losses are 0 where nothing is trained
    """
    pairs = torch.stack((losses, is_trained.to(losses)), dim=2)
    zeros = torch.zeros(len(losses), count, 2, dtype=losses.dtype, device=losses.device)
    return zeros.scatter_add_(1, kind[:, :, None].expand_as(pairs), pairs)


def kind_of_tokens(
    inputs: Mapping[str, Tensor], numbers: Sequence[int], positions: Tensor
) -> Tensor:
    """(rows, positions): the number of the kind of each token at `positions` of a batch.

    numbers  of the kind of each row, as the batch has them: padded, or one after another
    """
    each = torch.tensor(numbers, device=positions.device)
    if "row_lengths" not in inputs:
        return each[:, None].expand(-1, len(positions))
    ends = inputs["row_lengths"][0].cumsum(0)
    return each[torch.searchsorted(ends, positions, right=True)][None]


def losses_by_kind(sums: Tensor, kinds: Sequence[str], prefix: str) -> dict[str, float]:
    """Names of metrics → mean losses, where there are several kinds; `sums` is (kinds, 2)."""
    if len(kinds) < 2:
        return {}
    pairs = zip(kinds, sums.tolist(), strict=True)
    return {
        f"{prefix}_{kind or 'other'}": loss / tokens for kind, (loss, tokens) in pairs if tokens
    }
