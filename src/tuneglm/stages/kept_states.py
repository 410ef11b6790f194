"""States of a run's rows in a file, which stand for the layers that made them.

states.bin   (tokens, hidden): each different row once, in the order of its place
states.json  whose they are, how many, in which type, and a check of them; written last
"""

import json
import mmap
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from zlib import crc32

import numpy as np
import torch
from torch import Tensor, nn

from tuneglm.models.frozen import handing_on

STATES_FILE, ABOUT_FILE = "states.bin", "states.json"
CHUNK = 2**24


@dataclass(frozen=True)
class About:
    """What a file of states holds.

    key    of all that its content depends on
    dtype  as torch names it
    check  CRC-32 of its bytes: made and read faster than a digest, and damage is no attack
    """

    key: str
    tokens: int
    hidden: int
    dtype: str
    check: int = 0

    @property
    def type(self) -> torch.dtype:
        """The type of torch's."""
        dtype: torch.dtype = getattr(torch, self.dtype)
        return dtype

    @property
    def size(self) -> int:
        """Bytes."""
        return self.tokens * self.hidden * self.type.itemsize

    def write(self, folder: Path) -> None:
        """Into the folder, beside the states."""
        (folder / ABOUT_FILE).write_text(json.dumps(asdict(self)) + "\n", encoding="utf-8")


class KeptStates:
    """The states of a folder, in place of the layers `below`.

    asks_gradient  whether the states are to ask for one: checkpointing of the older kind computes
                   no gradient behind what asks for none
    """

    def __init__(self, folder: Path, about: About, below: Sequence[nn.Module]) -> None:
        self.about, self.below, self.asks_gradient = about, below, False
        # open for good: who clears the folder up meanwhile does no harm
        self._file = (folder / STATES_FILE).open("rb")

    def at(self, places: Tensor) -> Tensor:
        """(rows, tokens) → (rows, tokens, hidden), on the places' device; of no place any.

        The file is mapped for as long as it is read: its pages are the system's, not the run's.
        """
        # only to be read: memory is asked for pages alone, and not for a copy of all of them
        content = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        every = np.frombuffer(content, dtype=np.uint8).reshape(self.about.tokens, -1)
        taken = every[places.cpu().clamp(min=0).numpy()]
        return torch.from_numpy(taken).view(self.about.type).to(places.device)

    def handed_on(self, places: Tensor) -> AbstractContextManager[None]:
        """Within it the layers hand on the states of these places, (rows, tokens)."""
        return handing_on(self.below, self.at(places).requires_grad_(self.asks_gradient))

    def close(self) -> None:
        """Nothing is read any more."""
        self._file.close()


def is_kept(folder: Path, about: About) -> bool:
    """Whether a folder holds just these states, whole and undamaged."""
    try:
        found = About(**json.loads((folder / ABOUT_FILE).read_text(encoding="utf-8")))
        with (folder / STATES_FILE).open("rb") as file:
            check = size = 0
            while piece := file.read(CHUNK):
                check, size = crc32(piece, check), size + len(piece)
    except (OSError, ValueError, TypeError):
        return False
    return found == replace(about, check=check) and size == about.size
