"""The methods of tuning: which weights of a model are trained, and how they are held."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuneglm.config import RunConfig
from tuneglm.errors import ConfigError
from tuneglm.methods import freeze, full, lora, p_tuning, prompt
from tuneglm.methods.start import check_start
from tuneglm.methods.tuned import Holding, Tuned
from tuneglm.models.family import Family
from tuneglm.models.packed import packed_bits
from tuneglm.models.skeleton import skeleton
from tuneglm.models.weights import read_json

Apply = Callable[[Any, Any, Family], Tuned]
Check = Callable[[Any, Any, Family, Holding], None]


@dataclass(frozen=True)
class Method:
    """One way to tune.

    apply          (model, its section of the config, family) → what is trained
    check          (skeleton, the section, family, holding) → raises UserError for what cannot be,
                   before the weights are read
    learning_rate  what suits it where the run file says nothing
    most_epochs    how often it may see a handful of rows before it knows them by heart
    trains_base    whether the base's own weights are trained, and so held in float32
    keeps_base     whether the base can be asked while it is tuned, by turning the trained part off
    reentrant      whether torch's older gradient checkpointing reaches what is trained
    """

    apply: Apply
    check: Check
    learning_rate: float
    most_epochs: int
    trains_base: bool = False
    keeps_base: bool = True
    reentrant: bool = True


METHODS: dict[str, Method] = {
    "lora": Method(lora.apply, lora.check, learning_rate=2e-4, most_epochs=10),
    "full": Method(
        full.apply,
        full.check,
        learning_rate=1e-5,
        most_epochs=5,
        trains_base=True,
        keeps_base=False,
    ),
    "freeze": Method(
        freeze.apply, freeze.check, learning_rate=5e-5, most_epochs=10, keeps_base=False
    ),
    "p_tuning": Method(
        p_tuning.apply, p_tuning.check, learning_rate=2e-2, most_epochs=20, reentrant=False
    ),
    "prompt": Method(
        prompt.apply, prompt.check, learning_rate=2e-2, most_epochs=20, reentrant=False
    ),
}


def check_method(config: RunConfig, folder: Path, family: Family) -> None:
    """Raises UserError where the method cannot tune the model in `folder` as the config says."""
    packed = packed_bits(read_json(folder / "config.json"))
    holding = Holding(packed or config.model.bits, is_packed=packed is not None)
    check_start(config, holding)
    _check_kl(config)
    METHODS[config.method.name].check(skeleton(folder, family), config.method, family, holding)


def _check_kl(config: RunConfig) -> None:
    """Raises ConfigError where `stage.kl` has no base to hold to, or no rows to do it on."""
    if not config.stage.kl:
        return
    asked, method = f"`stage.kl` is {config.stage.kl:g}", config.method.name
    if not METHODS[method].keeps_base:
        raise ConfigError(
            f"{asked}, and method={method} changes the base that it would hold to.",
            "take method=lora, whose base is the model without the adapter, or stage.kl=0",
        )
    if config.method.name == "lora" and config.method.init == "pissa":
        raise ConfigError(
            f"{asked}, and method.init=pissa takes parts out of the base that it would hold to.",
            "leave method.init out, or take stage.kl=0",
        )
    if not any(entry.replay for entry in config.data.train):
        raise ConfigError(
            f"{asked}, and no set of `data.train` is one that keeps the model as it is.",
            "say which: data.train=[{name: …, replay: true}]",
        )
