"""Every cell of the matrix: what is tuned, how, in which bits, batched how, by how many processes.

What is not in `REFUSED` must train, save, load and answer.
"""

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tuneglm.models import FAMILIES

METHODS = ("full", "freeze", "lora", "p_tuning", "prompt")
# weights in 16 bits, packed by bitsandbytes, and in the official packed form
BITS = ("16", "8", "4", "int8", "int4")
BATCHING = ("padded", "packed")
PROCESSES = (1, 2)


class Refusal(NamedTuple):
    """Why a cell cannot be: words of the sentence that says so, and the reason for the pages."""

    words: str
    en: str
    zh: str


NO_GRADIENT = "packed weights have no gradient", "打包的权重没有梯度"
# (method, bits) → for every family, kind of batch and number of processes
REFUSED: Mapping[tuple[str, str], Refusal] = {
    ("full", "8"): Refusal("weights that are packed in 8 bits", *NO_GRADIENT),
    ("full", "4"): Refusal("weights that are packed in 4 bits", *NO_GRADIENT),
    ("full", "int8"): Refusal("weights that are packed in 8 bits", *NO_GRADIENT),
    ("full", "int4"): Refusal("weights that are packed in 4 bits", *NO_GRADIENT),
}

# settings that suit models this small, with a rate that moves them in three steps
SETTINGS: Mapping[str, tuple[str, ...]] = {
    "full": ("training.learning_rate=0.001",),
    "freeze": ("method.layers=1", "method.modules=all", "training.learning_rate=0.03"),
    "lora": ("method.targets=all", "training.learning_rate=0.03"),
    "p_tuning": ("method.length=5", "method.dropout=0", "training.learning_rate=1"),
    "prompt": ("method.length=40", "training.learning_rate=0.1"),
}


@dataclass(frozen=True)
class Cell:
    """One run of three steps."""

    family: str
    method: str
    bits: str
    batching: str
    processes: int

    def __str__(self) -> str:
        return "-".join(map(str, astuple(self)))

    @property
    def refusal(self) -> Refusal | None:
        """Why it cannot be, where it cannot."""
        return REFUSED.get((self.method, self.bits))

    @property
    def form(self) -> str:
        """The form of the base that it needs: of another only where the files are packed."""
        return self.bits if self.bits.startswith("int") else "whole"

    @property
    def loading(self) -> dict[str, Any]:
        """How `ChatModel` holds it: half precision, or few bits with float32 computed."""
        bits = None if self.form == self.bits else int(self.bits)
        return {"dtype": "bfloat16" if bits == 16 else "float32", "bits": bits}

    def overrides(self, base: Path) -> tuple[str, ...]:
        """What a run file would say; the rows, the steps and the output folder aside.

        Of one process and of two the steps are of the same rows.
        """
        bits = self.loading["bits"]
        return (
            f"model.path={base}",
            f"model.family={self.family}",
            f"model.dtype={self.loading['dtype']}",
            *([f"model.bits={bits}"] if bits else []),
            f"method={self.method}",
            *SETTINGS[self.method],
            f"data.batching={self.batching}",
            f"training.gradient_accumulation_steps={2 // self.processes}",
            f"training.per_device_train_batch_size={1 if self.batching == 'packed' else 4}",
        )


def exists(family: str, bits: str) -> bool:
    """Whether there is such a base: the official packed form belongs to the published layouts."""
    return FAMILIES[family].layout is not None or not bits.startswith("int")


CELLS = tuple(
    Cell(family, method, bits, batching, processes)
    for family in FAMILIES
    for method in METHODS
    for bits in BITS
    if exists(family, bits)
    for batching in BATCHING
    for processes in PROCESSES
)
