"""Rows that each have a cache of their own, and are computed one after another.

For networks whose memory is no list of keys and values of all tokens (windows, states that are
carried on): what they keep cannot be shared out in slots. Rows join and leave all the same.
"""

from typing import Any

import torch
from transformers import DynamicCache

from tuneglm.models.named_adapters import NamedAdapters
from tuneglm.writing.batch import PIECE
from tuneglm.writing.places import shaped_positions
from tuneglm.writing.row import Row
from tuneglm.writing.sampling import draw


class Apart:
    """As `Batch`, row by row."""

    def __init__(self, model: Any, adapters: NamedAdapters, room: int) -> None:
        self.rows: list[Row] = []
        self._caches: dict[Row, DynamicCache] = {}
        self._model, self._adapters, self._room = model, adapters, room
        self._turn = 0

    @property
    def has_room(self) -> bool:
        """Whether another row can join."""
        return len(self.rows) < self._room

    def knows(self, adapter: str) -> bool:
        """Whether it is still there, after a row was made for it."""
        return adapter in self._adapters.names

    def join(self, row: Row) -> None:
        """Take a row that was placed; it is read in the next passes."""
        self.rows.append(row)
        self._caches[row] = DynamicCache(config=self._model.config)

    def leave(self, row: Row) -> None:
        """Give a row's place to others."""
        self.rows.remove(row)
        del self._caches[row]

    def adapters_changed(self) -> None:
        """They are chosen in each pass."""

    @torch.inference_mode()
    def read(self) -> None:
        """A piece of one prompt."""
        unread = [row for row in self.rows if not row.is_ready]
        if not unread:
            return
        self._turn += 1
        row = unread[self._turn % len(unread)]
        end = row.filled + max(PIECE, row.context - row.filled)
        piece = row.prompt[row.filled : min(end, row.to_fill)]
        self._forward(row, piece)
        row.filled += len(piece)

    @torch.inference_mode()
    def write(self) -> list[Row]:
        """A token for every row whose prompt is read; these rows."""
        ready = [row for row in self.rows if row.is_ready]
        for row in ready:
            ((token, score),) = draw(self._forward(row, [row.token]), [row])
            row.append(token, score)
        return ready

    def _forward(self, row: Row, ids: list[int]) -> torch.Tensor:
        self._adapters.choose(row.adapter)
        device, end = self._model.device, row.filled + len(ids)
        positions = torch.tensor([row.positions[row.filled : end]])
        mask = None
        if row.context > row.filled:
            columns = torch.arange(end)
            mask = (columns <= columns[:, None]) | (columns < row.context)
            mask = mask[None, None].to(device)
        output = self._model(
            input_ids=torch.tensor([ids]).to(device),
            attention_mask=mask,
            position_ids=shaped_positions(positions).to(device),
            past_key_values=self._caches[row],
            use_cache=True,
            logits_to_keep=1,
        )
        logits: torch.Tensor = output.logits[:, -1]
        return logits
