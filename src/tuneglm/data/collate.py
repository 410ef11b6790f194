"""Rows of unlike length → one batch of tensors, padded on the right."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tuneglm.data.encode import UNTRAINED, Encoded


@dataclass(frozen=True)
class Collator:
    """`collate` with its settings; the Trainer's `data_collator`."""

    pad_token_id: int

    def __call__(self, rows: Sequence[Encoded]) -> dict[str, Tensor]:
        """See `collate`."""
        return collate(rows, pad_token_id=self.pad_token_id)


def collate(rows: Sequence[Encoded], *, pad_token_id: int) -> dict[str, Tensor]:
    """`input_ids`, `labels` and `attention_mask` as int64 of shape (batch, longest row).

    Padding carries the label -100 and the mask 0.
    """
    shape = (len(rows), max(row.length for row in rows))
    input_ids = torch.full(shape, pad_token_id, dtype=torch.int64)
    labels = torch.full(shape, UNTRAINED, dtype=torch.int64)
    attention_mask = torch.zeros(shape, dtype=torch.int64)
    for i, row in enumerate(rows):
        input_ids[i, : row.length] = torch.tensor(row.input_ids, dtype=torch.int64)
        labels[i, : row.length] = torch.tensor(row.labels, dtype=torch.int64)
        attention_mask[i, : row.length] = 1
    return {"input_ids": input_ids, "labels": labels, "attention_mask": attention_mask}
