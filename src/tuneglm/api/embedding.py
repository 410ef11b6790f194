"""A text as one vector: the mean of the network's last states over its tokens, of length 1.

It is read piece by piece between two steps of the running batch, as a prompt is: a long text
keeps nobody waiting.
"""

import base64
import struct
from collections.abc import Sequence

import torch
from transformers import DynamicCache

from tuneglm.generate import ChatModel
from tuneglm.writing.batch import PIECE
from tuneglm.writing.places import place, shaped_positions
from tuneglm.writing.row import Row, Sampling


class Reading:
    """A text on its way to its vector; raises ValueError as `place` does."""

    def __init__(self, chat: ChatModel, ids: list[int], adapter: str) -> None:
        self._chat = chat
        self._row = Row(ids, 1, Sampling(), adapter)
        place(self._row, chat.model.config, chat.family)
        self._cache = DynamicCache(config=chat.model.config)
        self._sum = torch.zeros(chat.model.config.hidden_size, dtype=torch.float64)

    @property
    def is_done(self) -> bool:
        """Whether all of it is read."""
        return self._row.filled >= len(self._row.prompt)

    @torch.inference_mode()
    def read(self) -> None:
        """One more piece; to be called by whoever owns the model."""
        row, model = self._row, self._chat.model
        start = row.filled
        end = min(len(row.prompt), start + max(PIECE, row.context - start))
        mask = None
        if row.context > start:
            columns = torch.arange(end)
            mask = (columns <= columns[:, None]) | (columns < row.context)
            mask = mask[None, None].to(model.device)
        # others may have answered since the last piece
        self._chat.adapters.choose(row.adapter)
        states = model.base_model(
            input_ids=torch.tensor([row.prompt[start:end]]).to(model.device),
            attention_mask=mask,
            position_ids=shaped_positions(torch.tensor([row.positions[start:end]])).to(
                model.device
            ),
            past_key_values=self._cache,
            use_cache=True,
        ).last_hidden_state
        self._sum += states[0].double().sum(dim=0).cpu()
        row.filled = end

    def vector(self) -> list[float]:
        """As long as the model's hidden size."""
        found: list[float] = torch.nn.functional.normalize(self._sum, dim=0).tolist()
        return found


def as_base64(vector: Sequence[float]) -> str:
    """float32, as OpenAI's client asks for it."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode("ascii")
