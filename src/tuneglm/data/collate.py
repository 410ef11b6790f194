"""Rows of unlike length → one batch of tensors: padded on the right, or packed."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from tuneglm.data.encoded import UNTRAINED, Encoded

REPLAY = "replay"  # in a batch, for the stage: the model never sees it
PLACES = "places"  # in a batch, for the stage: see `MixedRows.places`
NO_PLACE = -1  # in it, what is no token of a row
HELD = 2  # in it, a token of a row that is held to the base, and not learnt

# what a batch is put together from: rows, or groups of rows that belong together
Item = Encoded | tuple[Encoded, ...]


@dataclass(frozen=True)
class Collator:
    """`collate` or `concatenate` with its settings; the Trainer's `data_collator`."""

    pad_token_id: int
    packed: bool = False

    def __call__(self, items: Sequence[Item]) -> dict[str, Tensor]:
        """Rows, and the rows of groups, as one batch."""
        rows = [row for item in items for row in (item if isinstance(item, tuple) else (item,))]
        return concatenate(rows) if self.packed else collate(rows, pad_token_id=self.pad_token_id)


def collate(rows: Sequence[Encoded], *, pad_token_id: int) -> dict[str, Tensor]:
    """`input_ids`, `labels` and `attention_mask` as int64 of shape (batch, longest row).

    Padding carries the label -100 and the mask 0. For `replay` see `replayed`, for `places`
    `MixedRows.places`: they are there where the rows know theirs.
    """
    shape = (len(rows), max(row.length for row in rows))
    input_ids = torch.full(shape, pad_token_id, dtype=torch.int64)
    labels = torch.full(shape, UNTRAINED, dtype=torch.int64)
    attention_mask = torch.zeros(shape, dtype=torch.int64)
    for i, row in enumerate(rows):
        input_ids[i, : row.length] = torch.tensor(row.input_ids, dtype=torch.int64)
        labels[i, : row.length] = torch.tensor(row.labels, dtype=torch.int64)
        attention_mask[i, : row.length] = 1
    batch = {"input_ids": input_ids, "labels": labels, "attention_mask": attention_mask}
    places = _places(rows)
    if places:
        batch[PLACES] = pad_sequence(places, batch_first=True, padding_value=NO_PLACE)
    return batch | replayed(_flags(rows)[:, None].expand(shape))


def concatenate(rows: Sequence[Encoded]) -> dict[str, Tensor]:
    """One sequence of all rows: `input_ids` and `labels` of (1, tokens), `row_lengths` (1, rows).

    A row's first token carries the label -100: nothing of its own stands before it.
    `attention_mask` is 1 throughout, for whoever counts tokens by it; the model goes
    by `row_lengths` (models/attention.py).
    """
    input_ids = torch.tensor([list(chain.from_iterable(row.input_ids for row in rows))])
    labels = torch.tensor([list(chain.from_iterable(row.labels for row in rows))])
    row_lengths = torch.tensor([[row.length for row in rows]])
    labels[0, row_lengths[0].cumsum(0) - row_lengths[0]] = UNTRAINED
    batch = {
        "input_ids": input_ids,
        "labels": labels,
        "attention_mask": torch.ones_like(input_ids),
        "row_lengths": row_lengths,
    }
    places = _places(rows)
    if places:
        batch[PLACES] = torch.cat(places)[None]
    return batch | replayed(_flags(rows).repeat_interleave(row_lengths[0])[None])


def replayed(flags: Tensor) -> dict[str, Tensor]:
    """`replay`, (batch, longest row): 1 for tokens of rows with `replay`, HELD where it is `hold`.

    Nothing without any.
    """
    # each token has a place of its own: memory is pinned for a GPU by writing to a copy like it
    return {REPLAY: flags.contiguous()} if flags.any() else {}


def _places(rows: Sequence[Encoded]) -> list[Tensor]:
    """Of each row, (length,), its tokens' places; nothing where a row does not know its own."""
    known = [(row.place, row.length) for row in rows if row.place is not None]
    if len(known) < len(rows):
        return []
    return [torch.arange(place, place + length) for place, length in known]


def _flags(rows: Sequence[Encoded]) -> Tensor:
    return torch.tensor([HELD if row.replay == "hold" else int(row.replay) for row in rows])
