"""The config of ChatGLM-6B, under the keys of the published `config.json`."""

from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

from tuneglm.models.packed import METHOD

# keys that only the later networks under the same `model_type` have
LATER_KEYS = ("ffn_hidden_size", "multi_query_group_num", "padded_vocab_size")


@strict
class ChatGLMConfig(PreTrainedConfig):  # type: ignore[misc]
    """What one ChatGLM-6B is; the defaults are the published 6B's.

    vocab_size            rows of the embeddings
    hidden_size           width of a token's state
    num_layers            blocks
    num_attention_heads   heads of an attention, each `hidden_size / num_attention_heads` wide
    inner_hidden_size     width inside the MLP
    layernorm_epsilon     of every LayerNorm
    max_sequence_length   tokens of the sequences in its training; longer ones compute as well
    bos_token_id          `<sop>`: the answer begins after it
    eos_token_id          `<eop>`: the answer ends
    mask_token_id, gmask_token_id  the tokens whose place an answer fills
    position_encoding_2d  True; the published code has no other that was ever released

    Raises ValueError for a config of ChatGLM2, ChatGLM3 or GLM-4, which say
    `model_type: chatglm` too.
    """

    model_type = "chatglm"
    keys_to_ignore_at_inference = ["past_key_values"]  # noqa: RUF012 (so in the base class)
    attribute_map = {  # noqa: RUF012
        "num_hidden_layers": "num_layers",
        "intermediate_size": "inner_hidden_size",
        "max_position_embeddings": "max_sequence_length",
    }
    base_model_tp_plan = {  # noqa: RUF012
        "layers.*.attention.query_key_value": "colwise",
        "layers.*.attention.dense": "rowwise",
        "layers.*.mlp.dense_h_to_4h": "colwise",
        "layers.*.mlp.dense_4h_to_h": "rowwise",
    }
    base_model_pp_plan = {  # noqa: RUF012
        "word_embeddings": (["input_ids"], ["inputs_embeds"]),
        "layers": (["hidden_states", "attention_mask"], ["hidden_states"]),
        "final_layernorm": (["hidden_states"], ["hidden_states"]),
    }

    vocab_size: int = 130528
    hidden_size: int = 4096
    num_layers: int = 28
    num_attention_heads: int = 32
    inner_hidden_size: int = 16384
    layernorm_epsilon: float = 1e-5
    max_sequence_length: int = 2048
    position_encoding_2d: bool = True
    initializer_range: float = 0.02
    use_cache: bool = True
    tie_word_embeddings: bool = True
    bos_token_id: int | None = 130004
    eos_token_id: int | list[int] | None = 130005
    mask_token_id: int | None = 130000
    gmask_token_id: int | None = 130001
    pad_token_id: int | None = 3

    def __post_init__(self, **kwargs: Any) -> None:
        later = [key for key in LATER_KEYS if key in kwargs]
        if later:
            raise ValueError(
                f"This config has `{later[0]}`: it is of ChatGLM2, ChatGLM3 or GLM-4, not of "
                "ChatGLM-6B. Load the folder by tuneglm.load_model(path)."
            )
        if not self.position_encoding_2d:
            raise ValueError(
                "This config has `position_encoding_2d: false`, which no published ChatGLM-6B has."
            )
        if self.hidden_size % (4 * self.num_attention_heads):
            raise ValueError(
                f"`hidden_size: {self.hidden_size}` does not make "
                f"{self.num_attention_heads} heads of a width that 4 divides."
            )
        if kwargs.get("pre_seq_len"):
            raise ValueError(
                "This config has `pre_seq_len`: the model has a prefix. Load the folder by "
                "tuneglm.load_model(path)."
            )
        if bits := kwargs.pop("quantization_bit", None):
            # as published; transformers knows packed weights by this
            kwargs.setdefault("quantization_config", {"quant_method": METHOD, "bits": bits})
        super().__post_init__(**kwargs)

    @property
    def num_key_value_heads(self) -> int:
        """Every head has its own keys and values."""
        return self.num_attention_heads

    @property
    def head_dim(self) -> int:
        """Width of one head."""
        return self.hidden_size // self.num_attention_heads


__all__ = ["ChatGLMConfig"]
