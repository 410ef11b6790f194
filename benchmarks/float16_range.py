"""LoRA in float16 on models that compute more than float16 can hold: naive, autocast, ours.

The models are small, with random weights that are multiplied so that float32 computes
what it did before, and float16 overflows (tests/overflowing.py). The baselines are run
here: weights in float16 throughout, as scripts with `.half()` train; and float32 weights
under torch.autocast in float16 with a scaled loss, as `fp16=true` means elsewhere.
"""

import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from transformers.utils.logging import disable_progress_bar

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.methods.cells import FAMILIES, LABELS, inputs, tuned
from tests.overflowing import MAGNIFIED, overflowing
from tuneglm.models.float16 import compute_in_float16

STEPS = 5
MODELS = {**{family: family for family in FAMILIES}, "glm4_0414": "native"}


def losses(model: Any, rate: float, *, scaled: bool = True, autocast: bool = False) -> list[float]:
    """Of LoRA's steps by AdamW on one batch, the loss scaled as accelerate does."""
    optimizer = torch.optim.AdamW([each for each in model.parameters() if each.requires_grad], rate)
    scaler = torch.amp.GradScaler("cpu", enabled=scaled)
    course = []
    for _ in range(STEPS):
        with torch.autocast("cpu", torch.float16) if autocast else nullcontext():
            loss = model.train()(**inputs(), labels=LABELS).loss
        course.append(loss.item())
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
    return course


def row(name: str, folder: Path) -> list[str]:
    """Loss before, and after the last step: of float32, naive float16, autocast and ours."""
    family = MODELS[name]
    rate = 1e-2 / MAGNIFIED if name == "chatglm" else 1e-2

    def made(dtype: str = "float32") -> Any:
        return tuned(folder, family, "lora", "method.rank=4", dtype=dtype).model

    ours = made("float16")
    compute_in_float16(ours)
    courses = [
        losses(made(), rate),
        losses(made().half(), rate, scaled=False),
        losses(made(), rate, autocast=True),
        losses(ours, rate),
    ]
    return [name, *(f"{course[0]:.4f} → {course[-1]:.4f}" for course in courses)]


def main() -> None:
    """Print the table."""
    disable_progress_bar()
    table = Table("model", "float32", "float16 naive", "float16 autocast", "float16 here")
    with tempfile.TemporaryDirectory() as place:
        for name in MODELS:
            table.add_row(*row(name, overflowing(name, Path(place) / name)))
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
