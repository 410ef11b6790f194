"""ChatGLM-6B's files: our class has the published names, so only the first releases change.

Those had 20,000 tokens for images, never used, in front of the vocabulary; later
ones were cut off, and so are they here: 150,528 embeddings become 130,528.
"""

from collections.abc import Mapping
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, PreTrainedConfig

from tuneglm.errors import ModelError
from tuneglm.models.chatglm.configuration_chatglm import ChatGLMConfig
from tuneglm.models.chatglm.modeling_chatglm import ChatGLMForConditionalGeneration, ChatGLMModel
from tuneglm.models.family import Layout
from tuneglm.models.layout import check_config

IMAGE_TOKENS = 20_000
FIRST_VOCABULARY = 150_528
BLOCK = "transformer.layers.*"
MODULES = (
    "transformer.word_embeddings",
    f"{BLOCK}.input_layernorm",
    f"{BLOCK}.attention.query_key_value",
    f"{BLOCK}.attention.dense",
    f"{BLOCK}.post_attention_layernorm",
    f"{BLOCK}.mlp.dense_h_to_4h",
    f"{BLOCK}.mlp.dense_4h_to_h",
    "transformer.final_layernorm",
    "lm_head",
    "transformer.prefix_encoder.embedding",
    "transformer.prefix_encoder.trans.0",
    "transformer.prefix_encoder.trans.2",
)
# keys of the published config.json that say what the network is
CONFIG_KEYS = (
    *("vocab_size", "hidden_size", "num_layers", "num_attention_heads", "inner_hidden_size"),
    *("max_sequence_length", "layernorm_epsilon", "position_encoding_2d", "use_cache"),
    *("bos_token_id", "eos_token_id", "mask_token_id", "gmask_token_id", "pad_token_id"),
)
SIZES = CONFIG_KEYS[:5]


def to_native_config(published: Mapping[str, Any]) -> ChatGLMConfig:
    """A published `config.json` → ours; that of a first release with the later ids."""
    check_config(published, SIZES)
    values = {key: published[key] for key in CONFIG_KEYS if published.get(key) is not None}
    if values["vocab_size"] == FIRST_VOCABULARY:
        values["vocab_size"] -= IMAGE_TOKENS
        for key in CONFIG_KEYS:
            if key.endswith("_token_id") and values.get(key, 0) >= IMAGE_TOKENS:
                values[key] -= IMAGE_TOKENS
    ids = [key for key in values if key.endswith("_token_id") and isinstance(values[key], int)]
    for key in ids:
        # ids of a first release beside a later vocabulary
        if values["vocab_size"] <= values[key] < values["vocab_size"] + IMAGE_TOKENS:
            values[key] -= IMAGE_TOKENS
        if not 0 <= values[key] < values["vocab_size"]:
            raise ModelError(
                f"config.json has `{key}: {published[key]}`, outside the "
                f"{values['vocab_size']} tokens of its vocabulary.",
                "it is of another release than the weights: download config.json again",
            )
    try:
        return ChatGLMConfig(**values)
    except (StrictDataclassError, ValueError) as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise ModelError(f"config.json cannot be used: {reason}") from None


def to_published_config(config: PreTrainedConfig) -> dict[str, Any]:
    """The way back."""
    return {key: getattr(config, key) for key in CONFIG_KEYS} | {
        "model_type": ChatGLMConfig.model_type,
        "architectures": ["ChatGLMModel"],
    }


def without_image_tokens(config: PreTrainedConfig, key: str, tensor: torch.Tensor) -> torch.Tensor:
    """Embeddings and head of a first release, whatever its config says, without the first rows."""
    is_vocabulary = key in ("transformer.word_embeddings.weight", "lm_head.weight")
    if is_vocabulary and len(tensor) == config.vocab_size + IMAGE_TOKENS:
        return tensor[IMAGE_TOKENS:]
    return tensor


LAYOUT = Layout(
    model_type=ChatGLMConfig.model_type,
    to_native_config=to_native_config,
    to_published_config=to_published_config,
    modules={name: name for name in MODULES},
    fused={},
    rows=lambda config: (),
    ignored=("rotary_emb.inv_freq",),
    read=without_image_tokens,
)

# plain transformers finds the classes once this module is imported
AutoConfig.register(ChatGLMConfig.model_type, ChatGLMConfig)
AutoModel.register(ChatGLMConfig, ChatGLMModel)
AutoModelForCausalLM.register(ChatGLMConfig, ChatGLMForConditionalGeneration)
