"""What a method hands on: the model to train, and what the Trainer has to know of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Tuned:
    """A model that a method made ready.

    model    what requires gradients in it is trained; it saves itself by `save_pretrained`
    restore  puts what it saved back from a checkpoint's folder; None: the Trainer can
    rates    name of a parameter → factor on its learning rate, where it has its own
    """

    model: Any
    restore: Callable[[Path], None] | None = None
    rates: Mapping[str, float] = field(default_factory=dict)
