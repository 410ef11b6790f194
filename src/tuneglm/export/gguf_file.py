"""`--format gguf`: one file for llama.cpp and what is built on it, read back to be compared.

Names of tensors and of settings are those that llama.cpp's own converter writes for this
network; the package `gguf` knows them and writes the file.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tuneglm.errors import ConfigError, ModelError
from tuneglm.export.gguf_settings import gguf_package, write_settings, write_vocabulary
from tuneglm.export.source import Source
from tuneglm.export.wanted import Export
from tuneglm.export.weights import Weights, refuse_overflow
from tuneglm.models.llama_cpp import ARCHITECTURE, Vocabulary
from tuneglm.models.loading import load_tokenizer
from tuneglm.models.merging import OtherUpdateError
from tuneglm.models.shards import Entry
from tuneglm.models.skeleton import skeleton

BEFORE = "transformer."
# our word for a type → gguf's
KINDS = {"float32": "F32", "float16": "F16", "bfloat16": "BF16", "int8": "Q8_0"}
# columns that share a scale
BLOCK = 32


@dataclass(frozen=True)
class ReadBack:
    """What was found when the file was read again; `problem` is "" where all is as it must be."""

    tensors: int
    tokens: int
    problem: str = ""

    def __str__(self) -> str:
        """One line."""
        return (
            f"read back: {self.tensors:,} tensors and {self.tokens:,} tokens are those of the "
            "source"
        )


@dataclass(frozen=True)
class _Tensor:
    """A tensor of the file: its name there, what it is made of, and its type."""

    name: str
    entry: Entry
    kind: str

    def bytes(self) -> "np.ndarray[Any, Any]":
        """Its content in the file's form, (rows, columns) or one row."""
        from gguf import GGMLQuantizationType
        from gguf.quants import quantize

        blocks = []
        for block in self.entry.blocks():
            if self.kind == "F16":
                refuse_overflow(self.entry.name, block.half())
            data = block.contiguous().numpy()
            kind = GGMLQuantizationType[self.kind]
            blocks.append(data if self.kind == "F32" else quantize(data, kind))
        return np.concatenate(blocks)


def write_gguf(source: Source, wanted: Export, folder: Path) -> ReadBack | None:
    """The file, and what was found when it was read again, if that is wanted.

    Raises ModelError for a network or a vocabulary that llama.cpp has no form for.
    """
    gguf = gguf_package()
    kind = _kind(wanted, source)
    make = source.family.llama_cpp
    if make is None or source.family.layout is None:
        raise ModelError(
            f"The family `{source.family.name}` cannot be written for llama.cpp here.",
            "what llama.cpp knows of it, its own convert_hf_to_gguf.py writes from a folder in "
            "transformers' layout: tuneglm export PATH FOLDER --layout native",
        )
    # rounded once, when it is given its form
    wide = replace(source, layout=source.family.layout, dtype=torch.float32)
    model = skeleton(source.base, source.family)
    tokenizer = load_tokenizer(wanted.path, family=wanted.family)
    vocabulary = make(tokenizer, source.base, model.config.vocab_size)
    try:
        weights = Weights(wide, model, None)
    except OtherUpdateError:
        raise ModelError(
            f"`{wanted.path}` holds an update that only peft can merge.",
            "merge it first: tuneglm export PATH FOLDER; then write that folder as gguf",
        ) from None
    tensors = list(_tensors(weights, model, wide, kind))
    path = folder / f"model-{kind.lower()}.gguf"
    writer = gguf.GGUFWriter(path, ARCHITECTURE)
    write_settings(writer, model.config, wanted.output.name, kind)
    write_vocabulary(writer, vocabulary, tokenizer.chat_template)
    _write_tensors(writer, tensors)
    return _read_back(path, tensors, vocabulary) if wanted.check else None


def _kind(wanted: Export, source: Source) -> str:
    if wanted.bits == 4:
        raise ConfigError(
            "`--bits 4` is the official packed form, which llama.cpp does not read.",
            "write float16, and let llama.cpp make four bits of it: llama-quantize FILE Q4_K_M; "
            "--bits 8 is Q8_0",
        )
    if wanted.bits == 8:
        return KINDS["int8"]
    name = str(source.dtype).removeprefix("torch.")
    return KINDS[name]


def _tensors(weights: Weights, model: Any, source: Source, kind: str) -> Iterator[_Tensor]:
    gguf = gguf_package()
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.CHATGLM, model.config.num_hidden_layers)
    for entry in weights.entries(source.layout):
        name = names.get_name(entry.name.removeprefix(BEFORE), try_suffixes=(".weight", ".bias"))
        if name is None:
            raise ModelError(f"llama.cpp has no name for `{entry.name}` in this network.")
        is_vector = len(entry.shape) < 2
        fits = kind != "Q8_0" or entry.shape[-1] % BLOCK == 0
        yield _Tensor(name, entry, "F32" if is_vector else kind if fits else "F16")


def _write_tensors(writer: Any, tensors: list[_Tensor]) -> None:
    """First where each lies, then one after the other."""
    gguf = gguf_package()
    for each in tensors:
        kind = gguf.GGMLQuantizationType[each.kind]
        shape = tuple(each.entry.shape)
        stored = gguf.quant_shape_to_byte_shape(shape, kind)
        size = int(np.prod(stored))
        if each.kind in ("F32", "F16"):
            width = {"F32": np.float32, "F16": np.float16}[each.kind]
            writer.add_tensor_info(each.name, shape, np.dtype(width), size, kind)
        else:
            writer.add_tensor_info(each.name, stored, np.dtype(np.uint8), size, kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for each in tensors:
        writer.write_tensor_data(each.bytes())
    writer.close()


def _read_back(path: Path, tensors: list[_Tensor], vocabulary: Vocabulary) -> ReadBack:
    """Compare all that is in the file, byte for byte, with what it is made of."""
    gguf = gguf_package()
    reader = gguf.GGUFReader(path)
    found = {each.name: each for each in reader.tensors}
    problem = ""
    if found.keys() != {each.name for each in tensors}:
        problem = "its tensors have other names"
    for each in [] if problem else tensors:
        there = found[each.name]
        # llama.cpp counts dimensions from the other end
        same = tuple(reversed([int(size) for size in there.shape])) == tuple(each.entry.shape)
        expected = each.bytes().reshape(-1).view(np.uint8)
        read = np.ascontiguousarray(there.data).reshape(-1).view(np.uint8)
        if not same or there.tensor_type.name != each.kind or not np.array_equal(read, expected):
            problem = f"`{each.name}` is another tensor"
            break
    tokens = reader.fields["tokenizer.ggml.tokens"].contents()
    if not problem and tokens != vocabulary.tokens:
        problem = "its tokens are others"
    return ReadBack(len(tensors), len(tokens), problem)
