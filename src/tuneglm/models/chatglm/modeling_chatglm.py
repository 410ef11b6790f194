"""ChatGLM-6B: a prefix language model with two positions a token.

A sequence is a context, `[gMASK]`, `<sop>` and the answer. All tokens of the
context, `[gMASK]` included, see each other; from `<sop>` on a token sees what is
before it. Each token has two positions (`position_pairs`); the first rotates one
half of every head, the second the other half.

Weights have the names of the published checkpoints, so that those and the
adapters trained on them load as they are. What the published code computes in
which type when its weights are float16, and what this module does:

    part                   published                      here
    rotary frequencies     rounded to float16             the same, for every type of weights
    rotary angles          float16                        float32: exact at any length; float16
                                                          rounds them by up to half a radian at
                                                          positions above 1,024 and has no odd
                                                          ones above 2,048
    scores                 float16; queries divided by    eager: the same; other kernels scale
                           the layer's number, the        before they multiply, and add up in
                           scores multiplied back         float32
    softmax                float32                        float32
    LayerNorm              float32 inside                 float32 inside
    gelu                   float16, x² overflows at 256   float32 inside
    residual, projections  float16                        the weights' type
    loss                   float32                        float32

What tuneglm loads in float16 it computes as models/float16.py says, in place of the last rows.
With float32 weights the two are equal but for the order of additions. bfloat16
was never published; it computes as float16 does here.

Source: GLM (arXiv:2103.10360), RoPE (arXiv:2104.09864), and the published
checkpoints, whose blocks scale the residual for 28 layers however many there are.
"""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import nn
from transformers import GenerationMixin, PreTrainedModel
from transformers.activations import ACT2FN
from transformers.cache_utils import Cache, DynamicCache
from transformers.masking_utils import create_causal_mask
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS, slice_logits_to_keep
from transformers.utils import can_return_tuple
from transformers.utils.generic import merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

from tuneglm.models.chatglm.configuration_chatglm import ChatGLMConfig

ROTARY_BASE = 10000
# the published code never hands `num_layers` to its blocks: their default holds
RESIDUAL_SCALE = (2 * 28) ** 0.5


class ChatGLMRotaryEmbedding(nn.Module):
    """Position pairs → cosines and sines of the two halves of a head."""

    inv_freq: torch.Tensor

    def __init__(self, config: ChatGLMConfig) -> None:
        super().__init__()
        self.config = config
        self.inv_freq = nn.Buffer(self.compute_inv_freq(config), persistent=False)

    @staticmethod
    def compute_inv_freq(config: ChatGLMConfig, device: torch.device | None = None) -> torch.Tensor:
        """Frequencies of half a head, (head_dim / 4,), with the published rounding to float16."""
        half = config.head_dim // 2
        exponents = torch.arange(0, half, 2, dtype=torch.float32) / half
        return (1.0 / ROTARY_BASE**exponents).half().float().to(device)

    @torch.no_grad()
    def forward(
        self, x: torch.Tensor, position_ids: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(batch, 2, length) → cosines and sines of (batch, length, head_dim), in the type of x."""
        freqs = position_ids[..., None].float() * self.inv_freq.to(x.device, torch.float32)
        angles = torch.cat((freqs, freqs), dim=-1).transpose(1, 2).flatten(2)
        return angles.cos().to(x.dtype), angles.sin().to(x.dtype)


def rotate_quarters(states: torch.Tensor) -> torch.Tensor:
    """In each half of each head, −second quarter before first: (batch, heads, length, head_dim)."""
    quarters = states.unflatten(-1, (2, 2, -1))
    return torch.stack((-quarters[..., 1, :], quarters[..., 0, :]), dim=-2).flatten(-3)


def apply_rotary_pos_emb(
    query: torch.Tensor, key: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Turn each half of each head by its own angles: (batch, heads, length, head_dim) both."""
    cos, sin = cos.unsqueeze(1), sin.unsqueeze(1)
    return (
        query * cos + rotate_quarters(query) * sin,
        key * cos + rotate_quarters(key) * sin,
    )


def eager_attention_forward(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    """(batch, heads, length, head_dim) each → (batch, length, heads, head_dim), and the weights."""
    # scores grow with depth; float16 holds them divided by the layer's number, float32 as they are
    layer = module.layer_idx + 1
    scores = torch.matmul(query * (scaling / layer), key.transpose(2, 3))
    if attention_mask is not None:
        scores = scores + attention_mask
    weights = nn.functional.softmax(scores.float() * layer, dim=-1).to(query.dtype)
    weights = nn.functional.dropout(weights, p=dropout, training=module.training)
    return torch.matmul(weights, value).transpose(1, 2).contiguous(), weights


class ChatGLMAttention(nn.Module):
    """Attention of all heads over fused queries, keys and values, laid out head by head."""

    def __init__(self, config: ChatGLMConfig, layer_idx: int) -> None:
        super().__init__()
        self.config = config
        self.layer_idx = layer_idx
        self.head_dim = config.head_dim
        self.scaling = self.head_dim**-0.5
        self.is_causal = True
        self.query_key_value = nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(
        self,
        hidden_states: torch.Tensor,
        position_embeddings: tuple[torch.Tensor, torch.Tensor],
        attention_mask: torch.Tensor | None = None,
        past_key_values: Cache | None = None,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """(batch, length, hidden) → the same shape, and the weights where eager computed them."""
        shape = hidden_states.shape[:-1]
        fused = self.query_key_value(hidden_states).view(*shape, -1, 3 * self.head_dim)
        query, key, value = fused.transpose(1, 2).chunk(3, dim=-1)
        query, key = apply_rotary_pos_emb(query, key, *position_embeddings)
        if past_key_values is not None:
            key, value = past_key_values.update(key, value, self.layer_idx)
        attend: Callable[..., Any] = ALL_ATTENTION_FUNCTIONS.get_interface(
            self.config._attn_implementation, eager_attention_forward
        )
        output, weights = attend(
            self, query, key, value, attention_mask, scaling=self.scaling, dropout=0.0, **kwargs
        )
        return self.dense(output.reshape(*shape, -1).contiguous()), weights


class ChatGLMMLP(nn.Module):
    """Two linear layers with gelu (in its tanh form) between them."""

    def __init__(self, config: ChatGLMConfig) -> None:
        super().__init__()
        self.dense_h_to_4h = nn.Linear(config.hidden_size, config.inner_hidden_size)
        self.activation_fn = ACT2FN["gelu_pytorch_tanh"]
        self.dense_4h_to_h = nn.Linear(config.inner_hidden_size, config.hidden_size)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """(batch, length, hidden) → the same shape."""
        output: torch.Tensor = self.dense_4h_to_h(
            self.activation_fn(self.dense_h_to_4h(hidden_states))
        )
        return output


class ChatGLMBlock(GradientCheckpointingLayer):
    """Attention and MLP; what is carried on is the scaled, normed input of each, not the input."""

    def __init__(self, config: ChatGLMConfig, layer_idx: int) -> None:
        super().__init__()
        self.input_layernorm = nn.LayerNorm(config.hidden_size, eps=config.layernorm_epsilon)
        self.attention = ChatGLMAttention(config, layer_idx)
        self.post_attention_layernorm = nn.LayerNorm(
            config.hidden_size, eps=config.layernorm_epsilon
        )
        self.mlp = ChatGLMMLP(config)

    def forward(self, hidden_states: torch.Tensor, **kwargs: Any) -> torch.Tensor:
        """(batch, length, hidden) → the same shape."""
        attention_input = self.input_layernorm(hidden_states)
        attention_output, _ = self.attention(attention_input, **kwargs)
        hidden_states = attention_input * RESIDUAL_SCALE + attention_output
        mlp_input = self.post_attention_layernorm(hidden_states)
        output: torch.Tensor = mlp_input * RESIDUAL_SCALE + self.mlp(mlp_input)
        return output


class ChatGLMPreTrainedModel(PreTrainedModel):
    """What transformers needs to know of the network."""

    config_class = ChatGLMConfig
    config: ChatGLMConfig
    base_model_prefix = "transformer"
    supports_gradient_checkpointing = True
    _no_split_modules: ClassVar[list[str]] = ["ChatGLMBlock"]
    _skip_keys_device_placement: ClassVar[list[str]] = ["past_key_values"]
    # the mask is not causal: flash attention has no way to say it
    _supports_flash_attn = False
    _supports_sdpa = True
    _supports_flex_attn = True
    _supports_attention_backend = True
    _can_compile_fullgraph = True
    _can_record_outputs: ClassVar[dict[str, Any]] = {
        "hidden_states": ChatGLMBlock,
        "attentions": ChatGLMAttention,
    }

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, ChatGLMRotaryEmbedding):
            module.inv_freq.copy_(module.compute_inv_freq(module.config))


class ChatGLMModel(ChatGLMPreTrainedModel):
    """The network without its head."""

    def __init__(self, config: ChatGLMConfig) -> None:
        super().__init__(config)
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(
            [ChatGLMBlock(config, layer_idx) for layer_idx in range(config.num_layers)]
        )
        self.final_layernorm = nn.LayerNorm(config.hidden_size, eps=config.layernorm_epsilon)
        self.rotary_emb = ChatGLMRotaryEmbedding(config)
        self.gradient_checkpointing = False
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """The embeddings of tokens."""
        return self.word_embeddings

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Put others in their place."""
        self.word_embeddings = value  # type: ignore[assignment]

    @merge_with_config_defaults
    @capture_outputs
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.LongTensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: torch.FloatTensor | None = None,
        use_cache: bool | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPast:
        """Token ids → states.

        input_ids       (batch, length)
        attention_mask  (batch, seen + length): 1 for a token, 0 for padding, on either side; or
                        a ready mask of (batch, 1, length, seen + length), as for packed rows
        position_ids    (batch, 2, length); by default derived from `input_ids` and the
                        padding mask (see `position_pairs`)
        inputs_embeds   (batch, length, hidden) in place of `input_ids`; needs `position_ids`
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("Give either `input_ids` or `inputs_embeds`.")
        if inputs_embeds is None:
            inputs_embeds = self.word_embeddings(input_ids)
        if use_cache and past_key_values is None:
            past_key_values = DynamicCache(config=self.config)
        if position_ids is None:
            position_ids = self._positions(input_ids, attention_mask, past_key_values)
        mask = create_prefix_mask(
            self.config, inputs_embeds, attention_mask, past_key_values, position_ids
        )
        hidden_states = inputs_embeds
        position_embeddings = self.rotary_emb(hidden_states, position_ids)
        for layer in self.layers:
            hidden_states = layer(
                hidden_states,
                attention_mask=mask,
                position_embeddings=position_embeddings,
                past_key_values=past_key_values,
                use_cache=use_cache,
                **kwargs,
            )
        return BaseModelOutputWithPast(
            last_hidden_state=self.final_layernorm(hidden_states),
            past_key_values=past_key_values,
        )

    def _positions(
        self,
        input_ids: torch.LongTensor | None,
        attention_mask: torch.Tensor | None,
        past_key_values: Cache | None,
    ) -> torch.LongTensor:
        """`position_pairs` of this call; after the prompt the cache says where the answer began."""
        if input_ids is None:
            raise ValueError("`inputs_embeds` tell no positions: give `position_ids` with them.")
        if attention_mask is not None and attention_mask.ndim != 2:
            raise ValueError("A ready attention mask tells no padding: give `position_ids` too.")
        starts: torch.Tensor | None
        seen = past_key_values.get_seq_length() if past_key_values is not None else 0
        if seen == 0:
            starts = answer_starts(self.config, input_ids, attention_mask)
            if past_key_values is not None:
                past_key_values.answer_starts = starts  # type: ignore[attr-defined]
        else:
            starts = getattr(past_key_values, "answer_starts", None)
            if starts is None or len(starts) != len(input_ids):
                raise ValueError("This cache was filled elsewhere: give `position_ids` too.")
        if attention_mask is None:
            attention_mask = input_ids.new_ones(len(input_ids), seen + input_ids.shape[1])
        positions: Any = position_pairs(attention_mask, starts)[..., -input_ids.shape[1] :]
        return positions


class ChatGLMForConditionalGeneration(ChatGLMPreTrainedModel, GenerationMixin):
    """The network with its head; named as published, it is a causal model to transformers."""

    _tied_weights_keys: ClassVar[dict[str, str]] = {
        "lm_head.weight": "transformer.word_embeddings.weight"
    }
    _tp_plan: ClassVar[dict[str, str]] = {"lm_head": "colwise_gather_output"}
    _pp_plan: ClassVar[dict[str, Any]] = {"lm_head": (["hidden_states"], ["logits"])}

    def __init__(self, config: ChatGLMConfig) -> None:
        super().__init__(config)
        self.transformer = ChatGLMModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.LongTensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: torch.FloatTensor | None = None,
        labels: torch.LongTensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | torch.Tensor = 0,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """As `ChatGLMModel.forward`; `labels` (batch, length) are shifted here, -100 is none."""
        outputs = self.transformer(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            use_cache=use_cache,
            **kwargs,
        )
        logits = self.lm_head(slice_logits_to_keep(outputs.last_hidden_state, logits_to_keep))
        loss = None
        if labels is not None:
            loss = self.loss_function(
                logits=logits, labels=labels, vocab_size=self.config.vocab_size, **kwargs
            )
        return CausalLMOutputWithPast(
            loss=loss,
            logits=logits,
            past_key_values=outputs.past_key_values,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )

    def prepare_inputs_for_generation(
        self,
        input_ids: torch.LongTensor,
        attention_mask: Any = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """As in transformers, with the positions of all tokens so far; the new ones' are kept."""
        kwargs.pop("position_ids", None)
        starts = answer_starts(self.config, input_ids, attention_mask)
        padding = attention_mask if attention_mask is not None else torch.ones_like(input_ids)
        inputs: dict[str, Any] = super().prepare_inputs_for_generation(
            input_ids,
            attention_mask=attention_mask,
            position_ids=position_pairs(padding, starts),
            **kwargs,
        )
        return inputs

    def _prepare_position_ids_for_generation(
        self, inputs_tensor: torch.Tensor, model_kwargs: dict[str, Any]
    ) -> None:
        # each step derives them from all ids: transformers' way to extend them counts both rows on
        return None

    @staticmethod
    def create_masks_for_generate(
        config: ChatGLMConfig,
        inputs_embeds: torch.Tensor,
        attention_mask: torch.Tensor | None,
        past_key_values: Cache | None,
        position_ids: torch.LongTensor,
        **_: Any,
    ) -> torch.Tensor | None:
        """The mask that transformers wants beforehand where the cache is static."""
        return create_prefix_mask(
            config, inputs_embeds, attention_mask, past_key_values, position_ids
        )


def answer_starts(
    config: ChatGLMConfig, input_ids: torch.Tensor, attention_mask: torch.Tensor | None
) -> torch.Tensor:
    """Where `<sop>` and the token that the answer fills stand in each row: (batch, 2).

    Counted from the row's first token that is no padding. The answer fills the
    first `[gMASK]`, or the first `[MASK]` where there is none; a row with
    neither, or without `<sop>`, raises ValueError.
    """
    real = torch.ones_like(input_ids) if attention_mask is None else attention_mask.long()
    real = real[:, : input_ids.shape[1]]
    gmask = (input_ids == config.gmask_token_id) & (real > 0)
    mask = (input_ids == config.mask_token_id) & (real > 0)
    filled = torch.where(gmask.any(-1, keepdim=True), gmask, mask)
    begins = (input_ids == config.bos_token_id) & (real > 0)
    complete = filled.any(-1) & begins.any(-1)
    if not bool(complete.all()):
        row = int((~complete).long().argmax())
        raise ValueError(
            f"Row {row} of `input_ids` has no `[gMASK]` (or `[MASK]`) and `<sop>` "
            f"({config.gmask_token_id}, {config.bos_token_id}), between which and its end the "
            "answer stands: encode it with the model's own tokenizer, and do not cut them off."
        )
    places = real.cumsum(-1) - 1
    first = torch.stack((begins.long().argmax(-1), filled.long().argmax(-1)), dim=-1)
    return places.gather(-1, first)


def position_pairs(attention_mask: torch.Tensor, starts: torch.Tensor) -> torch.LongTensor:
    """The two positions of each token: (batch, 2, length).

    The first counts the context's tokens; from `<sop>` on it stays at the place
    of the token that the answer fills. The second is 0 in the context and counts
    the answer's tokens from 1 at `<sop>`. Padding has 0 in both.

    attention_mask  (batch, length), 1 for a token and 0 for padding
    starts          see `answer_starts`
    """
    context, filled = starts[:, :1], starts[:, 1:]
    places = attention_mask.long().cumsum(-1) - 1
    in_context = places < context
    first = torch.where(in_context, places, filled)
    second = torch.where(in_context, 0, places - context + 1)
    pairs: Any = torch.stack((first, second), dim=1) * (attention_mask > 0).long()[:, None]
    return pairs


def place_rows(
    config: Any, input_ids: torch.Tensor, lengths: Sequence[int]
) -> tuple[torch.Tensor, tuple[int, ...]]:
    """Of rows that lie one after another in (1, length): their positions, and their contexts.

    The positions (1, 2, length) are those of each row alone; a context's length is
    where `<sop>` stands in its row.
    """
    rows = nn.utils.rnn.pad_sequence(list(input_ids[0].split(list(lengths))), batch_first=True)
    ends = torch.tensor(lengths, device=input_ids.device)
    real = torch.arange(rows.shape[1], device=input_ids.device) < ends[:, None]
    starts = answer_starts(config, rows, real)
    pairs = position_pairs(real, starts).transpose(0, 1)[:, real]
    return pairs[None], tuple(starts[:, 0].tolist())


def create_prefix_mask(
    config: ChatGLMConfig,
    inputs_embeds: torch.Tensor,
    attention_mask: torch.Tensor | None,
    past_key_values: Cache | None,
    position_ids: torch.LongTensor,
) -> torch.Tensor | None:
    """The mask in the form that the attention wants: causal, and the context sees itself.

    A token of the context is one whose second position is 0. A mask that is
    ready, of four dimensions, comes back as it is.
    """
    context = None
    if past_key_values is None or past_key_values.get_seq_length() == 0:
        context = position_ids[:, 1].clamp(max=1).neg()
    mask: Any = create_causal_mask(
        config,
        inputs_embeds,
        attention_mask,
        past_key_values,
        block_sequence_ids=context,
    )
    return mask


__all__ = [
    "ChatGLMForConditionalGeneration",
    "ChatGLMModel",
    "ChatGLMPreTrainedModel",
]
