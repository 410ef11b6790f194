"""Some rows at a time from the base's files into the result's: the usual way to export."""

import json
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig, PreTrainedModel

from tuneglm.export.source import Source, is_in_bits
from tuneglm.export.wanted import Export
from tuneglm.export.weights import Weights, kept_wide
from tuneglm.models.loading import set_end_tokens
from tuneglm.models.merging import OtherUpdateError
from tuneglm.models.packed import put_packed_linears
from tuneglm.models.prefix import encoder_of
from tuneglm.models.published import stored_form
from tuneglm.models.shards import write_shards
from tuneglm.models.skeleton import skeleton


def write_streamed(source: Source, wanted: Export, folder: Path) -> None:
    """Weights and config. Raises OtherUpdateError for what needs the model as a whole."""
    if is_in_bits(source):
        raise OtherUpdateError
    model = skeleton(source.base, source.family)
    set_end_tokens(model, source.family, source.base)
    weights = Weights(source, model, wanted.bits)
    hold(model, source.dtype)
    if wanted.bits is not None:
        put_packed_linears(model, wanted.bits)
    if weights.prefix:
        encoder = encoder_of(model.config, weights.prefix)
        model.config.pre_seq_len = encoder.length
        model.config.prefix_projection = encoder.trans is not None
    if source.layout is None:
        _save_native_config(model, source, folder)
    else:
        _save_published_config(model, source, folder)
    entries = weights.entries(source.layout)
    write_shards(entries, folder, wanted.shard_size)


def hold(model: PreTrainedModel, dtype: torch.dtype) -> None:
    """Give every weight the type in which it is written."""
    kept = kept_wide(model)
    for name, weight in model.named_parameters():
        wide = kept.intersection(name.split("."))
        weight.data = weight.data.to(torch.float32 if wide else dtype)


def _save_native_config(model: PreTrainedModel, source: Source, folder: Path) -> None:
    config: Any = model.config
    config.architectures = [type(model).__name__]
    config.dtype = source.dtype
    config.save_pretrained(folder)
    own = source.base / "generation_config.json"
    generation: Any = model.generation_config
    if own.is_file() and source.layout is None:
        ends = generation.eos_token_id, generation.pad_token_id
        generation = GenerationConfig.from_pretrained(source.base)
        generation.eos_token_id, generation.pad_token_id = ends
    generation.save_pretrained(folder)


def keep_older_keys(folder: Path) -> None:
    """Say of the rotation also by the keys that readers before transformers 5 look for."""
    path = folder / "config.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    rope = content.get("rope_parameters") or {}
    for key in ("rope_theta", "partial_rotary_factor"):
        if key in rope:
            content.setdefault(key, rope[key])
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _save_published_config(model: PreTrainedModel, source: Source, folder: Path) -> None:
    assert source.layout is not None
    content = source.layout.to_published_config(model.config) | stored_form(model)
    content["torch_dtype"] = str(source.dtype).removeprefix("torch.")
    (folder / "config.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
