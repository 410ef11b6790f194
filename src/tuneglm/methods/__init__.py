"""The methods of tuning: which weights of a model are trained, and how they are held."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tuneglm.config import RunConfig
from tuneglm.errors import ConfigError
from tuneglm.method_config import MethodConfig
from tuneglm.methods import freeze, full, lora, p_tuning, prompt
from tuneglm.methods.start import check_start
from tuneglm.methods.tuned import Holding, Tuned
from tuneglm.models.family import Family
from tuneglm.models.fast import make_fast
from tuneglm.models.float16 import compute_in_float16, computes_in_float16
from tuneglm.models.packed import bits_to_pack, packed_bits
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
    fsdp           whether FSDP finds each layer's output used: where it is not, the layer's
                   weights are not fetched for the way back
    """

    apply: Apply
    check: Check
    learning_rate: float
    most_epochs: int
    trains_base: bool = False
    keeps_base: bool = True
    reentrant: bool = True
    fsdp: bool = True


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
        prompt.apply,
        prompt.check,
        learning_rate=2e-2,
        most_epochs=20,
        reentrant=False,
        fsdp=False,
    ),
}


def tune(model: Any, method: MethodConfig, family: Family) -> Tuned:
    """The model as a method leaves it: what it trains is float32, whatever the base is."""
    tuned = METHODS[method.name].apply(model, method, family)
    if computes_in_float16(model):
        # what the method put in does so too
        compute_in_float16(tuned.model)
    else:
        make_fast(tuned.model)
    for name, weight in tuned.model.named_parameters():
        assert not weight.requires_grad or weight.dtype == torch.float32, name
    return tuned


def holding_of(config: RunConfig, folder: Path) -> Holding:
    """How a run will hold its base; ModelError where the files have other bits than it says."""
    packed = packed_bits(read_json(folder / "config.json"))
    return Holding(packed or bits_to_pack(folder, config.model.bits), is_packed=packed is not None)


def check_method(config: RunConfig, folder: Path, family: Family) -> None:
    """Raises UserError where the method cannot tune the model in `folder` as the config says."""
    holding = holding_of(config, folder)
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
    identity = config.data.identity
    if not any(entry.replay for entry in config.data.train) and not (identity and identity.hold):
        raise ConfigError(
            f"{asked}, and no set of `data.train` is one that keeps the model as it is.",
            "say which: data.train=[{name: …, replay: true}]",
        )
