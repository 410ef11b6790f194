"""What a file for llama.cpp says beside its tensors: the network's settings, and the vocabulary."""

from typing import Any

from tuneglm.models.llama_cpp import Vocabulary
from tuneglm.packages import need

# gguf's name of a type → its file type
FILE_TYPES = {"F32": "ALL_F32", "F16": "MOSTLY_F16", "BF16": "MOSTLY_BF16", "Q8_0": "MOSTLY_Q8_0"}


def gguf_package() -> Any:
    """The package that knows and writes the file; raises ConfigError where it is missing."""
    need("gguf", "`--format gguf`")
    import gguf

    return gguf


def write_settings(writer: Any, config: Any, name: str, kind: str) -> None:
    """What llama.cpp has to know of the network."""
    gguf = gguf_package()
    rope = config.rope_parameters
    writer.add_name(name)
    writer.add_file_type(gguf.LlamaFileType[FILE_TYPES[kind]])
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(int(config.head_dim * rope["partial_rotary_factor"]))
    writer.add_rope_freq_base(rope["rope_theta"])
    if rope["rope_type"] == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])
    if config.head_dim * config.num_attention_heads != config.hidden_size:
        writer.add_key_length(config.head_dim)
        writer.add_value_length(config.head_dim)


def write_vocabulary(writer: Any, vocabulary: Vocabulary, template: str | None) -> None:
    """How texts become tokens, and a conversation a text."""
    writer.add_tokenizer_model(vocabulary.model)
    writer.add_tokenizer_pre(vocabulary.pre)
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.kinds)
    if vocabulary.scores:
        writer.add_token_scores(vocabulary.scores)
        writer.add_add_space_prefix(vocabulary.prefix)
    if vocabulary.merges:
        writer.add_token_merges(vocabulary.merges)
    add = {
        "eos": writer.add_eos_token_id,
        "eot": writer.add_eot_token_id,
        "pad": writer.add_pad_token_id,
        "unk": writer.add_unk_token_id,
    }
    for name, index in vocabulary.ids.items():
        add[name](index)
    # the template writes what stands before a conversation
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)
    if template:
        writer.add_chat_template(template)
