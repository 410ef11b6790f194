"""Writing safetensors weight by weight: what is written need never be in memory as a whole."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import torch

from tuneglm.models.weights import INDEX_FILES, SINGLE_FILES

# as the format names them
TYPES = {
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.float64: "F64",
    torch.bool: "BOOL",
}
METADATA = "__metadata__"


# rows of a weight, a slice → those rows
Rows = Callable[[slice], torch.Tensor]
# written at once
BLOCK = 2**24


@dataclass(frozen=True)
class Entry:
    """A weight to write: its name, form and type, and what makes its rows when their turn comes.

    parts  (number of rows, what makes them) of each part, one below the other
    """

    name: str
    shape: torch.Size
    dtype: torch.dtype
    parts: Sequence[tuple[int, Rows]]

    @property
    def bytes(self) -> int:
        """Its size."""
        return self.shape.numel() * self.dtype.itemsize

    def blocks(self) -> Iterator[torch.Tensor]:
        """All its rows in order, some at a time."""
        rows = self.shape[0] if self.shape else 1
        step = max(1, BLOCK // max(1, self.bytes // max(1, rows)))
        for count, make in self.parts:
            for start in range(0, count, step):
                yield make(slice(start, min(start + step, count)))


def write_shards(entries: Sequence[Entry], folder: Path, largest: int) -> None:
    """`model.safetensors`, or shards of at most `largest` bytes with the index that names them."""
    shards = list(_shards(entries, largest))
    weight_map: dict[str, str] = {}
    for number, shard in enumerate(shards, 1):
        name = SINGLE_FILES[0]
        if len(shards) > 1:
            name = name.replace(".", f"-{number:05d}-of-{len(shards):05d}.", 1)
        _write(shard, folder / name)
        weight_map |= {entry.name: name for entry in shard}
    if len(shards) > 1:
        total = sum(entry.bytes for entry in entries)
        index = {"metadata": {"total_size": total}, "weight_map": weight_map}
        text = json.dumps(index, indent=2, sort_keys=True)
        (folder / INDEX_FILES[0]).write_text(text + "\n", encoding="utf-8")


def _shards(entries: Sequence[Entry], largest: int) -> Iterator[list[Entry]]:
    """In their order; a weight that is larger than a shard is one of its own."""
    shard: list[Entry] = []
    size = 0
    for entry in entries:
        if shard and size + entry.bytes > largest:
            yield shard
            shard, size = [], 0
        shard.append(entry)
        size += entry.bytes
    yield shard


def _write(shard: Sequence[Entry], path: Path) -> None:
    """The header says where each lies; wide types come first, so that each is aligned."""
    header: dict[str, Any] = {METADATA: {"format": "pt"}}
    place = 0
    for entry in sorted(shard, key=lambda entry: -entry.dtype.itemsize):
        header[entry.name] = {
            "dtype": TYPES[entry.dtype],
            "shape": list(entry.shape),
            "data_offsets": [place, place + entry.bytes],
        }
        place += entry.bytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        start = file.tell()
        for entry in shard:
            file.seek(start + header[entry.name]["data_offsets"][0])
            _write_tensor(file, entry)


def _write_tensor(file: IO[bytes], entry: Entry) -> None:
    start = file.tell()
    for block in entry.blocks():
        assert block.dtype == entry.dtype and block.shape[1:] == entry.shape[1:], entry.name
        if block.numel():
            file.write(block.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    assert file.tell() - start == entry.bytes, entry.name
