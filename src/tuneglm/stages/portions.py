"""A batch, run a portion at a time: how many rows a step learns from is no matter of memory.

The loss is a sum over trained tokens, divided once: so the gradients of portions add up to
those of the batch. A portion is some of its rows, of about as many tokens as the device
needs to be busy; a longer row is one by itself.

On a processor its tokens are made up to an even number (models/products.py).
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from tuneglm.data.collate import NO_PLACE, PLACES
from tuneglm.data.encoded import UNTRAINED
from tuneglm.data.pack import packs

# tokens that keep a device busy: a processor multiplies as fast by few rows as by many
AT_ONCE = {"cpu": 256, "cuda": 8192}
# bytes of gradients that may be held twice for a moment
MOST_APART = 256 * 2**20
ROW_LENGTHS = "row_lengths"


def tokens_at_once(device: torch.device) -> int:
    """How many tokens keep a device busy; where a row is longer, as many as that take no more."""
    return AT_ONCE.get(device.type, AT_ONCE["cuda"])


def portions(batch: Mapping[str, Tensor], tokens: int) -> list[dict[str, Tensor]]:
    """A padded or packed batch as several of its kind, of at most so many tokens, or one row."""
    if batch["input_ids"].numel() <= tokens:
        return [dict(batch)]
    if ROW_LENGTHS in batch:
        lengths: list[int] = batch[ROW_LENGTHS].flatten().tolist()
        return list(_of_pack(batch, lengths, parted(lengths, tokens)))
    lengths = batch["attention_mask"].sum(1).tolist()
    return list(_of_rectangle(batch, lengths, tokens))


def evened(part: Mapping[str, Tensor], multiple: int) -> dict[str, Tensor]:
    """A portion whose tokens, or padded rows' lengths, are a multiple: what is added is untrained.

    In a packed one it stands behind the shortest row, which nothing before it sees.
    """
    lengths = part[ROW_LENGTHS].flatten().tolist() if ROW_LENGTHS in part else None
    width = part["input_ids"].shape[-1]
    added = -width % multiple
    if not added:
        return dict(part)
    if lengths is None:
        return {name: _with(each, name, width, added, mask=0) for name, each in part.items()}
    shortest = min(range(len(lengths)), key=lengths.__getitem__)
    if lengths[shortest] + added > max(lengths) + -max(lengths) % multiple:
        # longer than any row is: a model may know no such position
        return dict(part)
    end = sum(lengths[: shortest + 1])
    more = {
        name: _with(each, name, end, added, mask=1)
        for name, each in part.items()
        if name != ROW_LENGTHS
    }
    row_lengths = part[ROW_LENGTHS].clone()
    row_lengths[0, shortest] += added
    return {**more, ROW_LENGTHS: row_lengths}


def _with(each: Tensor, name: str, place: int, added: int, mask: int) -> Tensor:
    """(rows, tokens) with so many more before `place`."""
    if name == "input_ids":
        # any token will do
        more = each[:, place - 1 : place].expand(-1, added)
    else:
        value = {"labels": UNTRAINED, "attention_mask": mask, PLACES: NO_PLACE}.get(name, 0)
        more = each.new_full((len(each), added), value)
    return torch.cat((each[:, :place], more, each[:, place:]), -1)


def parted(lengths: Sequence[int], tokens: int) -> list[list[int]]:
    """Numbers of rows that run together, in their order."""
    return sorted(sorted(group) for group in packs(lengths, max(tokens, *lengths)))


@contextmanager
def added_up_apart(model: nn.Module) -> Iterator[None]:
    """Within it the gradients of a batch's portions are added up, and after it to earlier batches'.

    Several processes add up one batch each: in the same order, one process has the same bits.
    For one process: among several, what earlier batches gave has yet to be handed round.
    """
    weights = [each for each in model.parameters() if each.grad is not None]
    if sum(each.numel() for each in weights) * 4 > MOST_APART:
        # where all is trained: memory is worth more than the last bit
        yield
        return
    earlier = [each.grad for each in weights]
    for weight in weights:
        weight.grad = None
    yield
    for weight, gradient in zip(weights, earlier, strict=True):
        assert gradient is not None
        weight.grad = gradient if weight.grad is None else gradient.add_(weight.grad)


def _of_pack(
    batch: Mapping[str, Tensor], lengths: Sequence[int], groups: Sequence[Sequence[int]]
) -> Iterator[dict[str, Tensor]]:
    rows = {
        name: each.split(list(lengths), dim=-1)
        for name, each in batch.items()
        if name != ROW_LENGTHS
    }
    for group in groups:
        part = {name: torch.cat([each[row] for row in group], -1) for name, each in rows.items()}
        yield {**part, ROW_LENGTHS: batch[ROW_LENGTHS][:, list(group)]}


def _of_rectangle(
    batch: Mapping[str, Tensor], lengths: Sequence[int], tokens: int
) -> Iterator[dict[str, Tensor]]:
    """Rows that are padded on the right; a portion is padded to its own longest."""
    longest_first = sorted(range(len(lengths)), key=lambda row: -lengths[row])
    while longest_first:
        longest = lengths[longest_first[0]]
        group, longest_first = _first(longest_first, max(1, tokens // longest))
        yield {name: each[group][:, :longest] for name, each in batch.items()}


def _first(rows: list[int], count: int) -> tuple[list[int], list[int]]:
    return sorted(rows[:count]), rows[count:]
