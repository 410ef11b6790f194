"""A text as one vector: the mean of the network's last states over its tokens, of length 1."""

import base64
import struct
from collections.abc import Sequence

import torch

from tuneglm.api.places import place, shaped_positions
from tuneglm.api.row import Row, Sampling
from tuneglm.generate import ChatModel


@torch.inference_mode()
def embed(chat: ChatModel, ids: list[int], adapter: str) -> list[float]:
    """The text's vector, as long as the model's hidden size; raises ValueError as `place` does."""
    row = Row(ids, 1, Sampling(), adapter)
    place(row, chat.model.config, chat.family)
    chat.adapters.choose(adapter)
    device = chat.model.device
    mask = None
    if row.context:
        columns = torch.arange(len(ids))
        mask = (columns <= columns[:, None]) | (columns < row.context)
        mask = mask[None, None].to(device)
    states = chat.model.base_model(
        input_ids=torch.tensor([ids]).to(device),
        attention_mask=mask,
        position_ids=shaped_positions(torch.tensor([row.positions[:-1]])).to(device),
        use_cache=False,
    ).last_hidden_state
    mean = states[0].float().mean(dim=0)
    found: list[float] = torch.nn.functional.normalize(mean, dim=0).tolist()
    return found


def as_base64(vector: Sequence[float]) -> str:
    """float32, as OpenAI's client asks for it."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode("ascii")
