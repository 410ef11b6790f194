"""What a method is told beforehand, and what it hands on to the Trainer."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tuneglm.models.precision import Bits


@dataclass(frozen=True)
class Holding:
    """How the weights of a base will be held.

    bits       None: whole
    is_packed  in the official packed form, whose weights no kernel of peft's takes apart
    """

    bits: Bits | None = None
    is_packed: bool = False


@dataclass(frozen=True)
class Tuned:
    """A model that a method made ready.

    model    what requires gradients in it is trained; it saves itself by `save_pretrained`
    restore  puts what it saved back from a checkpoint's folder; None: the Trainer can
    rates    name of a parameter → factor on its learning rate, where it has its own
    base     within it the model is the one that the method was given; None: that one is gone
    """

    model: Any
    restore: Callable[[Path], None] | None = None
    rates: Mapping[str, float] = field(default_factory=dict)
    base: Callable[[], AbstractContextManager[None]] | None = None
