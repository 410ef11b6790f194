"""P-tuning v2's prefix (arXiv:2110.07602): keys and values that every layer's attention sees.

The prefix stands before the keys of each layer. It is not rotated, every query
sees all of it, and the tokens' own positions do not shift. It goes neither
through the cache nor through the mask that the model makes: the attention itself
(attention.py) puts it in front, so that every kind of cache, mask and model is
served alike.

    PrefixEncoder   the trained tensors → keys and values of all layers
    add_prefix      into a model: as `prefix_encoder` of its network, as published
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from tuneglm.errors import ModelError
from tuneglm.models.attention import PREFIX

MODULE = "prefix_encoder"
DROPOUT = 0.1

Tensors = Mapping[str, torch.Tensor]


class PrefixEncoder(nn.Module):
    """Trained embeddings, with or without a network behind them, as keys and values.

    embedding  (prefix length, width)
    trans      Linear, tanh, Linear → `layers · 2 · key-value heads · head_dim`; without it
               the embedding has that width itself
    """

    def __init__(
        self, length: int, sizes: tuple[int, int, int, int], width: int | None, hidden: int | None
    ) -> None:
        super().__init__()
        self.length, self.sizes = length, sizes
        total = sizes[0] * sizes[1] * sizes[2] * sizes[3]
        self.embedding = nn.Embedding(length, width or total)
        self.trans = (
            nn.Sequential(nn.Linear(width or total, hidden), nn.Tanh(), nn.Linear(hidden, total))
            if hidden is not None
            else None
        )
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self) -> torch.Tensor:
        """(layers, 2, key-value heads, prefix length, head_dim): keys and values of each layer."""
        states = self.embedding.weight
        if self.trans is not None:
            states = self.trans(states)
        states = self.dropout(states.view(self.length, *self.sizes))
        return states.permute(1, 2, 3, 0, 4)


def prefix_sizes(config: Any) -> tuple[int, int, int, int]:
    """(layers, 2, key-value heads, head_dim) of a model."""
    return config.num_hidden_layers, 2, config.num_key_value_heads, config.head_dim


def split_prefix(tensors: Tensors) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Tensors of a checkpoint → those of its prefix under short names, and the others."""
    prefix, others = {}, {}
    for key, tensor in tensors.items():
        _, found, name = key.rpartition(f"{MODULE}.")
        if found:
            prefix[name] = tensor
        else:
            others[key] = tensor
    return prefix, others


def check_prefix(folder: Path, config: Mapping[str, Any], prefix: Tensors) -> None:
    """Raises ModelError where a config.json says that there is a prefix, and the weights differ."""
    length = config.get("pre_seq_len")
    if length and not prefix:
        raise ModelError(
            f"config.json in `{folder}` says `pre_seq_len: {length}`, but the weights hold no "
            "prefix.",
            "the prefix was saved apart: give its folder as an adapter, and the model without "
            "`pre_seq_len` as the base",
        )
    weight = prefix.get("embedding.weight")
    if length and weight is not None and len(weight) != length:
        raise ModelError(
            f"config.json in `{folder}` says `pre_seq_len: {length}`, but the weights hold a "
            f"prefix of {len(weight)}.",
            "the two are of different runs",
        )


def add_prefix(model: PreTrainedModel, tensors: Tensors) -> None:
    """Put a trained prefix into a model; its length and form are those of the tensors.

    Raises ModelError where it is not whole, or was trained on a model of other sizes.
    """
    encoder = _encoder(model.config, tensors)
    encoder.load_state_dict(
        {name: tensor.to(torch.float32) for name, tensor in tensors.items()}, strict=True
    )
    put_prefix(model, encoder)


def put_prefix(model: PreTrainedModel, encoder: PrefixEncoder) -> None:
    """Let a model's attention see what an encoder gives, from the next forward on."""
    network: Any = model.base_model
    if hasattr(network, MODULE):
        raise ModelError("The model has a prefix already; it can have one.")
    encoder.to(model.device).train(model.training)
    network.add_module(MODULE, encoder)
    network.register_forward_pre_hook(_give_prefix, with_kwargs=True)
    model.set_attn_implementation(PREFIX)
    model.config.pre_seq_len = encoder.length
    model.config.prefix_projection = encoder.trans is not None


def _encoder(config: Any, tensors: Tensors) -> PrefixEncoder:
    if "embedding.weight" not in tensors:
        raise ModelError(
            f"The prefix lacks `{MODULE}.embedding.weight`.", "its file is not whole; save it again"
        )
    length, width = tensors["embedding.weight"].shape
    first = tensors.get("trans.0.weight")
    sizes = prefix_sizes(config)
    encoder = PrefixEncoder(length, sizes, width, None if first is None else len(first))
    wanted = {name: tensor.shape for name, tensor in encoder.state_dict().items()}
    given = {name: tensor.shape for name, tensor in tensors.items()}
    total = sizes[0] * sizes[1] * sizes[2] * sizes[3]
    if wanted != given or (first is None and width != total):
        shapes = ", ".join(f"{name} {tuple(shape)}" for name, shape in given.items())
        raise ModelError(
            f"The prefix is of another form than this model's layers, which need {total} values "
            f"a position: {shapes}.",
            "it was trained on a model of other sizes, or its file is not whole",
        )
    return encoder


def _give_prefix(network: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    return args, {**kwargs, "prefix": getattr(network, MODULE)()}
