"""Low-rank adapters by peft (arXiv 2106.09685): W + alpha / rank · B·A; A and B are trained."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import peft
import torch
from peft.utils import ModulesToSaveWrapper
from torch import nn
from transformers import PreTrainedModel

from tuneglm.errors import ConfigError, ModelError
from tuneglm.method_config import LoraConfig
from tuneglm.methods import pissa
from tuneglm.methods.parts import train_in_float32
from tuneglm.methods.tuned import Holding, Tuned
from tuneglm.models.adapters import CONFIG_FILE, TOKEN_ROWS, adapter_off, read_weights
from tuneglm.models.family import Family
from tuneglm.models.layout import own_names
from tuneglm.models.packed import is_packed
from tuneglm.models.prefix import MODULE as PREFIX
from tuneglm.models.quantization import is_quantized
from tuneglm.models.weights import input_weight, read_json, states_type

ALL = "all"
# adapter_config.json → our option: an adapter that goes on keeps these
CONTINUED = {"r": "rank", "lora_alpha": "alpha", "use_rslora": "rslora", "use_dora": "dora"}
# what peft puts before the name of a module
IN_PEFT = "base_model.model."
# what peft calls the only adapter, and the rows of tokens in it
ADAPTER, TOKENS = "default", "trainable_tokens_delta"


def check(model: PreTrainedModel, config: LoraConfig, family: Family, holding: Holding) -> None:
    """Raises ConfigError for a module that is not there, and for options that do not agree."""
    targets = targets_of(model, config.targets, family)
    for name in (*config.exclude, *config.rank_pattern):
        _refuse_unknown(name.rpartition(".")[2], targets, family)
    if set(targets) <= set(_named(config.exclude, family)):
        raise ConfigError("`method.exclude` leaves no module of `method.targets`.")
    _refuse_unknown_modules(model, config, family)
    _refuse_large_rank(model, config, targets)
    vocabulary = len(input_weight(model))
    for token in config.tokens:
        if token >= vocabulary:
            raise ConfigError(
                f"`method.tokens` has {token}, and the model's vocabulary {vocabulary} tokens.",
                "ids count from 0",
            )
    if config.tokens:
        _refuse_unknown_head(model, config, family)
    if config.dora and holding.is_packed:
        raise ConfigError(
            "`method.dora` needs whole weights; those of an int4 or int8 checkpoint are packed.",
            "leave it out, or write the model in 16 bits first (tuneglm export)",
        )
    if config.init == "pissa" and (holding.bits is not None or config.dora):
        other = "method.dora" if config.dora else f"a model in {holding.bits} bits"
        raise ConfigError(
            f"`method.init=pissa` cannot be had with {other}: it takes whole weights apart.",
            "leave it out",
        )


def _refuse_large_rank(model: PreTrainedModel, config: LoraConfig, targets: Sequence[str]) -> None:
    """B·A has no more than its matrix's own rank; what is larger is trained for nothing."""
    sides = [
        min(module.in_features, module.out_features)
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and name.rpartition(".")[2] in targets
    ]
    if sides and config.rank > max(sides):
        raise ConfigError(
            f"`method.rank={config.rank}` is more than the matrices have: {max(sides)} at most.",
            "8 to 64 is usual; method=full trains all",
        )


def apply(model: PreTrainedModel, config: LoraConfig, family: Family) -> Tuned:
    """The model with an adapter, whose float32 weights alone are trained.

    Raises ConfigError where the model has no linear layer of a target's name.
    """
    outside = states_type(model)
    if is_quantized(model) and not is_packed(model):
        # norms in float32, inputs that carry gradients
        model = peft.prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    adapted = peft.get_peft_model(model, peft_config(model, config, family))
    wrappers = [each for each in adapted.modules() if isinstance(each, ModulesToSaveWrapper)]
    train_in_float32((each.modules_to_save[ADAPTER] for each in wrappers), outside)
    for name, weight in adapted.named_parameters():
        if TOKENS in name and weight.requires_grad:
            weight.data = weight.data.to(torch.float32)
    # peft would add the embeddings where it cannot read the base's own config.json
    save = partial(adapted.save_pretrained, save_embedding_layers=False)
    adapted.save_pretrained = save  # type: ignore[method-assign]
    tuned = Tuned(adapted, rates=_rates(adapted, config), base=partial(adapter_off, adapted))
    return pissa.tuned(tuned) if config.init == "pissa" else tuned


def peft_config(model: PreTrainedModel, config: LoraConfig, family: Family) -> peft.LoraConfig:
    """peft's words for our options; names of modules are the model's own."""
    return peft.LoraConfig(
        task_type=peft.TaskType.CAUSAL_LM,
        r=config.rank,
        lora_alpha=config.alpha,  # type: ignore[arg-type]
        lora_dropout=config.dropout,
        target_modules=list(targets_of(model, config.targets, family)),
        exclude_modules=_named(config.exclude, family) or None,
        rank_pattern=_pattern(config.rank_pattern, family),
        use_rslora=config.rslora,
        use_dora=config.dora,
        init_lora_weights=pissa.INIT if config.init == "pissa" else True,  # type: ignore[arg-type]
        modules_to_save=_named(config.modules_to_save, family) or None,
        trainable_token_indices=_rows_of_tokens(model, config, family),
    )


def targets_of(model: PreTrainedModel, wanted: Sequence[str], family: Family) -> tuple[str, ...]:
    """Names of modules → the same in the model's own words; none means the family's choice."""
    present = _linear_names(model)
    if ALL in wanted:
        return present
    for name in wanted:
        _refuse_unknown(name, present, family)
    _refuse_a_part(wanted, family)
    return tuple(_named(wanted or family.adapter_targets(model.config), family))


def _named(names: Iterable[str], family: Family) -> list[str]:
    """Names that may be of the published layout, in our own."""
    return list(dict.fromkeys(ours for name in names for ours in own_names(family, name)))


def _refuse_a_part(names: Sequence[str], family: Family) -> None:
    """A part of a module that is fused in this network cannot be adapted without the others."""
    for name in names:
        fused = family.module_names.get(name)
        parts = [part for part, own in family.module_names.items() if own == fused]
        if not set(parts) <= {*names}:
            raise ConfigError(
                f"`{name}` is a part of `{fused}` in this model, and is adapted with the others.",
                f"write {fused}, or all of {', '.join(parts)}",
            )


def _pattern(pattern: Mapping[str, int], family: Family) -> dict[str, Any]:
    return {
        f"{before}{dot}{ours}": value
        for name, value in pattern.items()
        for before, dot, last in [name.rpartition(".")]
        for ours in own_names(family, last)
    }


def _rows_of_tokens(
    model: PreTrainedModel, config: LoraConfig, family: Family
) -> dict[str, list[int]] | None:
    """Name of a module → its rows that are trained: a token is to be read, and to be written."""
    if not config.tokens:
        return None
    names = [_name_of(model, model.get_input_embeddings()), *_own_head(model, config, family)]
    return {name: list(config.tokens) for name in names}


def _own_head(model: PreTrainedModel, config: LoraConfig, family: Family) -> list[str]:
    """The head's name, where it is neither tied to the embeddings nor trained whole."""
    head = model.get_output_embeddings()
    if head is None:
        return []
    tied = {name for pair in model.all_tied_weights_keys.items() for name in pair}
    is_tied = f"{_full_name_of(model, head)}.weight" in tied
    name = _name_of(model, head)
    return [] if is_tied or name in _named(config.modules_to_save, family) else [name]


def _refuse_unknown_head(model: PreTrainedModel, config: LoraConfig, family: Family) -> None:
    """peft's rows of tokens are those of a plain product: it would leave a bias out."""
    head: Any = model.get_output_embeddings()
    for name in _own_head(model, config, family):
        if not isinstance(head, nn.Linear) or head.bias is not None:
            raise ConfigError(
                f"`method.tokens` cannot train rows of this model's head `{name}`, which is more "
                "than one product.",
                f"train it whole: method.modules_to_save=[{name}]",
            )


def _rates(adapted: nn.Module, config: LoraConfig) -> dict[str, float]:
    """B's own learning rate, where it has one."""
    if config.lora_plus == 1:
        return {}
    named = adapted.named_parameters()
    return {
        name: config.lora_plus for name, each in named if each.requires_grad and ".lora_B." in name
    }


def _linear_names(model: PreTrainedModel) -> tuple[str, ...]:
    """Last part of the names of the linear layers but the head."""
    head = model.get_output_embeddings()
    names = (
        name.rpartition(".")[2]
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and module is not head and PREFIX not in name
    )
    return tuple(dict.fromkeys(names))


def _name_of(model: nn.Module, wanted: nn.Module) -> str:
    return _full_name_of(model, wanted).rpartition(".")[2]


def _full_name_of(model: nn.Module, wanted: nn.Module) -> str:
    return next(name for name, each in model.named_modules() if each is wanted)


def _refuse_unknown_modules(model: PreTrainedModel, config: LoraConfig, family: Family) -> None:
    present = dict.fromkeys(name.rpartition(".")[2] for name, _ in model.named_modules() if name)
    tied = [name for pair in model.all_tied_weights_keys.items() for name in pair]
    for name in config.modules_to_save:
        for ours in own_names(family, name):
            if ours not in present:
                raise _unknown("module", "method.modules_to_save", name, present)
            if any(f".{ours}.weight" in f".{pair}" for pair in tied):
                raise ConfigError(
                    f"`method.modules_to_save` cannot hold `{name}`: it is tied to another.",
                    "take method.tokens for some of its rows, or method=freeze with "
                    "method.embeddings=true",
                )


def _refuse_unknown(name: str, present: Iterable[str], family: Family) -> None:
    known = list(present)
    for ours in own_names(family, name):
        if ours not in known:
            raise _unknown("linear layer", "LoRA", name, known)


def _unknown(kind: str, purpose: str, name: str, present: Iterable[str]) -> ConfigError:
    known = list(present)
    near = difflib.get_close_matches(name, known, n=1)
    nearest = f"did you mean `{near[0]}`? " if near else ""
    return ConfigError(
        f"The model has no {kind} named `{name}` for {purpose}.",
        f"{nearest}its layers: {', '.join(known)}; method.targets=[…] chooses, `all` takes all",
    )


def check_continued(config: LoraConfig, folder: Path) -> None:
    """Raises ConfigError where an adapter that goes on was made with other settings."""
    stored = read_json(folder / CONFIG_FILE)
    for key, name in CONTINUED.items():
        now, before = getattr(config, name), stored.get(key) or False
        if now != before:
            raise ConfigError(
                f"`method.{name}` is {now}, and the adapter `{folder}` was trained with {before}.",
                f"write method.{name}={before} to go on with it",
            )
    if config.init == "pissa":
        raise ConfigError(
            f"`method.init=pissa` would start anew, and `{folder}` is to go on.", "leave it out"
        )


def refuse_earlier_rows(model: Any, checkpoint: Path) -> None:
    """Raises ModelError for a checkpoint of when `method.tokens` left the head's rows alone."""
    if not isinstance(model, peft.PeftModel):
        return
    stored = read_json(checkpoint / CONFIG_FILE, {}).get("trainable_token_indices") or {}
    wanted = getattr(model.peft_config[ADAPTER], "trainable_token_indices", None) or {}
    if stored and stored.keys() < wanted.keys():
        raise ModelError(
            f"`{checkpoint}` is of an earlier version, whose method.tokens trained the embeddings' "
            "rows alone, and not the head's.",
            f"go on with its adapter: model.adapters=[{checkpoint}] model.continue_last=true, "
            "and another training.output_dir",
        )


def take_over(model: peft.PeftModel, folder: Path, family: Family) -> None:
    """Fill a new adapter with the values of an older one; raises ModelError where they differ."""
    base: Any = model.get_base_model()
    weights = read_weights(base.config, folder, family)
    wanted = peft.get_peft_model_state_dict(model, save_embedding_layers=False)
    given = {f"{IN_PEFT}{name}": tensor for name, tensor in weights.items()}
    if any(name.endswith(TOKEN_ROWS) for name in given):
        # of an earlier version, which left the head's rows as the model has them
        given = {name: each for name, each in wanted.items() if name.endswith(TOKEN_ROWS)} | given
    shapes = {name: each.shape for name, each in wanted.items()}
    if shapes != {name: each.shape for name, each in given.items()}:
        different = sorted(given.keys() ^ wanted.keys()) or sorted(
            name for name, shape in shapes.items() if given[name].shape != shape
        )
        raise ModelError(
            f"The adapter `{folder}` does not go on as method=lora says: `{different[0]}` is of "
            "one of them only, or of another shape.",
            "write its own method.targets, rank_pattern and modules_to_save",
        )
    peft.set_peft_model_state_dict(model, given)
