"""The methods of tuning: which weights of a model are trained, and how they are held."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from tuneglm.methods import full, lora
from tuneglm.models.family import Family

Apply = Callable[[Any, Any, Family], nn.Module]


@dataclass(frozen=True)
class Method:
    """One way to tune.

    apply          (model, its section of the config, family) → the model to train
    learning_rate  what suits it where the run file says nothing
    trains_base    whether the base's own weights are trained, and so held in float32
    """

    apply: Apply
    learning_rate: float
    trains_base: bool = False


METHODS: dict[str, Method] = {
    "lora": Method(lora.apply, learning_rate=2e-4),
    "full": Method(full.apply, learning_rate=1e-5, trains_base=True),
}
