"""P-tuning v2's prefix (arXiv:2110.07602): keys and values that every layer's attention sees.

The prefix stands before the keys of each layer. It is not rotated, every query
sees all of it, and the tokens' own positions do not shift. It goes neither
through the cache nor through the mask that the model makes: the attention itself
(attention.py) puts it in front, so that every kind of cache, mask and model is
served alike.

    PrefixEncoder   the trained tensors → keys and values of all layers
    add_prefix      into a model: as `prefix_encoder` of its network, as published
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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


class Giver(nn.Module):
    """What gives a network its prefix; one that is off gives none."""

    is_off = False


class PrefixEncoder(Giver):
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

    def forward(self, network: Any = None) -> torch.Tensor:
        """(layers, 2, key-value heads, prefix length, head_dim): keys and values of each layer."""
        states = self.embedding.weight
        if self.trans is not None:
            states = self.trans(states)
        states = self.dropout(states.view(self.length, *self.sizes))
        return states.permute(1, 2, 3, 0, 4)


def prefix_sizes(config: Any) -> tuple[int, int, int, int]:
    """(layers, 2, key-value heads, head_dim) of a model."""
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return config.num_hidden_layers, 2, heads, size


def check_sees_prefix(model: PreTrainedModel) -> None:
    """Raises ModelError for a network whose attention cannot be shown a prefix."""
    config = model.config
    if not model._supports_attention_backend or getattr(config, "kv_lora_rank", None):
        raise ModelError(
            f"The attention of `{type(model).__name__}` cannot see a prefix: transformers gives no "
            "way into it, or its keys and values are of different sizes.",
            "take method=lora",
        )


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
    put_prefix(model, encoder_of(model.config, tensors))


def encoder_of(config: Any, tensors: Tensors) -> PrefixEncoder:
    """The encoder of a trained prefix, in float32; see `add_prefix`."""
    encoder = _encoder(config, tensors)
    encoder.load_state_dict(
        {name: tensor.to(torch.float32) for name, tensor in tensors.items()}, strict=True
    )
    return encoder


def put_prefix(model: PreTrainedModel, encoder: PrefixEncoder) -> None:
    """Let a model's attention see a trained prefix, from the next forward on."""
    let_see(model, encoder, MODULE)
    model.config.pre_seq_len = encoder.length
    model.config.prefix_projection = encoder.trans is not None


def let_see(model: PreTrainedModel, encoder: Giver, name: str) -> None:
    """Let a model's attention see what an encoder gives, which becomes the network's `name`."""
    check_sees_prefix(model)
    check_sees_none(model)
    network: Any = model.base_model
    encoder.to(model.device).train(model.training)
    network.add_module(name, encoder)
    network.register_forward_pre_hook(_GivePrefix(name), with_kwargs=True)
    model.set_attn_implementation(PREFIX)


def check_sees_none(model: PreTrainedModel) -> None:
    """Raises ModelError for a model that has a prefix or a soft prompt already."""
    if sees_prefix(model):
        raise ModelError("The model has a prefix or a soft prompt already; it can have one.")


@contextmanager
def prefix_off(model: PreTrainedModel) -> Iterator[None]:
    """Within it a model computes as if it had no prefix and no soft prompt."""
    network: Any = model.base_model
    givers = [each for each in network.children() if isinstance(each, Giver)]
    for giver in givers:
        giver.is_off = True
    try:
        yield
    finally:
        for giver in givers:
            giver.is_off = False


def sees_prefix(model: PreTrainedModel) -> bool:
    """Whether a model's attention sees a prefix or a soft prompt."""
    return bool(model.config._attn_implementation == PREFIX)


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


class _GivePrefix:
    """Gives each forward of a network what its encoder makes; one that goes on takes the last."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.last: torch.Tensor | None = None

    def __call__(
        self, network: Any, args: Any, kwargs: dict[str, Any]
    ) -> tuple[Any, dict[str, Any]]:
        if "prefix" in kwargs:
            # a soft prompt's own way through the network
            return args, kwargs
        if getattr(network, self.name).is_off:
            self.last = None
            return args, {**kwargs, "prefix": None}
        seen = kwargs.get("past_key_values")
        goes_on = seen is not None and seen.get_seq_length() > 0 and not torch.is_grad_enabled()
        prefix = self.last if goes_on else None
        if prefix is None:
            prefix = getattr(network, self.name)(network)
        self.last = None if torch.is_grad_enabled() else prefix
        return args, {**kwargs, "prefix": prefix}
