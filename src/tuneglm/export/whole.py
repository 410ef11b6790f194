"""With the model as a whole in memory: for what weight by weight cannot be merged.

Adapters whose update only peft knows, models whose files name weights otherwise than
transformers' class does, and bits of other libraries.
"""

from pathlib import Path

from tuneglm.export.source import Source
from tuneglm.export.wanted import Export
from tuneglm.export.weights import refuse_overflow
from tuneglm.models.adapters import merge_adapters
from tuneglm.models.loading import load_model
from tuneglm.models.packed import pack_linears, unpack_linears
from tuneglm.models.published import save_published


def write_whole(source: Source, wanted: Export, folder: Path) -> None:
    """Weights and config."""
    model = load_model(
        wanted.path,
        family=source.family.name,
        dtype=source.dtype,
        adapters=wanted.adapters,
        device="cpu",
    )
    unpack_linears(model, model.dtype)
    merge_adapters(model)
    for name, weight in model.named_parameters():
        refuse_overflow(name, weight)
    if wanted.bits is not None:
        pack_linears(model, wanted.bits)
    if source.layout is None:
        model.save_pretrained(folder, max_shard_size=wanted.shard_size)
    else:
        save_published(model, source.layout, folder, wanted.shard_size)
