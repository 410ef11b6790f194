"""Rows of a run → what its batches are put together from, as `data.batching` says.

    padded          rows in any order, padded to the longest of a batch
    length_grouped  rows of like length together, so padded less
    packed          rows one after another, without padding

A number of tokens a batch makes groups of rows beforehand; a pack is such a group.
The Trainer shuffles, shares out and resumes groups as it does rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np

from tuneglm.data.collate import Item
from tuneglm.data.encoded import Array, Encoded, lengths_of
from tuneglm.data.pack import Group, packs, rectangles
from tuneglm.data.stream import StreamedRows
from tuneglm.data_config import DataConfig


@dataclass(frozen=True, eq=False)
class Groups(Sequence[tuple[Encoded, ...]]):
    """Rows that belong together: `groups` holds their numbers in `rows`."""

    rows: Sequence[Encoded]
    groups: Sequence[Group]

    def __len__(self) -> int:
        return len(self.groups)

    @overload
    def __getitem__(self, index: int) -> tuple[Encoded, ...]: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[tuple[Encoded, ...]]: ...

    def __getitem__(
        self, index: int | slice
    ) -> tuple[Encoded, ...] | Sequence[tuple[Encoded, ...]]:
        if isinstance(index, slice):
            return Groups(self.rows, self.groups[index])
        return tuple(self.rows[row] for row in self.groups[index])


@dataclass(frozen=True, eq=False)
class Batches:
    """What the batches of a run are put together from, on both sides.

    packed     whether rows follow one another without padding; None: where the model can have it
    at_once    tokens that run at once where a run says it
    longest    tokens of the longest row of training; 0 where nobody knows
    sentence   how the rows were grouped, for the person at the terminal; empty where they were not
    """

    train: Sequence[Item] | StreamedRows
    evaluation: Sequence[Item] | None
    packed: bool | None
    sentence: str
    at_once: int | None = None
    longest: int = 0


def batches(
    config: DataConfig,
    train: Sequence[Encoded] | StreamedRows,
    evaluation: Sequence[Encoded] | None,
) -> Batches:
    """The rows of a run, grouped where `data.batching` and `data.tokens_per_batch` ask for it."""
    held = None
    if evaluation is not None:
        held = evaluation if not makes_groups(config) else _grouped(evaluation, config)
    if isinstance(train, StreamedRows):
        kind = f"packs of {room(config):,} tokens, " if config.batching == "packed" else ""
        sentence = f"{kind}streamed, drawn from {config.shuffle_buffer:,} rows"
        return Batches(train, held, is_packed(config), sentence, config.tokens_at_once)
    grouped = train if not makes_groups(config) else _grouped(train, config)
    sentence = _sentence(grouped, config) if isinstance(grouped, Groups) else ""
    longest = int(lengths_of(train).max()) if len(train) else 0
    return Batches(grouped, held, is_packed(config), sentence, config.tokens_at_once, longest)


def is_packed(config: DataConfig) -> bool | None:
    """Whether rows follow one another without padding; None: where the model can have it."""
    if config.batching == "auto":
        return False if config.tokens_per_batch else None
    return config.batching == "packed"


def makes_groups(config: DataConfig) -> bool:
    """Whether groups of rows are made beforehand: a batch is then one of them."""
    return config.batching == "packed" or config.tokens_per_batch is not None


def room(config: DataConfig) -> int:
    """Tokens that a group may hold."""
    return config.tokens_per_batch or config.longest_row


def _grouped(rows: Sequence[Encoded], config: DataConfig) -> Groups:
    lengths = lengths_of(rows)
    # neighbours in a file are of one kind: they are not to share a group for that
    order = np.random.default_rng(0).permutation(len(rows))
    if config.batching == "packed":
        made = packs(lengths[order], room(config))
    else:
        if config.batching == "length_grouped":
            order = order[np.argsort(lengths[order], kind="stable")]
        made = rectangles(lengths[order], room(config))
    return Groups(rows, [order[group].tolist() for group in made])


def _sentence(grouped: Groups, config: DataConfig) -> str:
    lengths = lengths_of(grouped.rows)
    share = lengths.sum() / slots(grouped, lengths, config)
    if config.batching == "packed":
        kind = f"packs of {room(config):,} tokens"
    else:
        kind = f"batches of at most {room(config):,} tokens"
    return f"{config.batching} · {len(grouped):,} {kind}, {100 * share:.1f}% filled"


def slots(grouped: Groups, lengths: Array, config: DataConfig) -> int:
    """Places for tokens: of packs, their room; of rectangles, rows × longest."""
    if config.batching == "packed":
        return len(grouped) * room(config)
    return sum(len(group) * int(lengths[group].max()) for group in grouped.groups)
