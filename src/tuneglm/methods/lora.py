"""Low-rank adapters by peft (arXiv 2106.09685): W + alpha / rank · B·A; A and B are trained."""

import difflib
from collections.abc import Iterable, Sequence
from functools import partial

import peft
from torch import nn
from transformers import PreTrainedModel

from tuneglm.config import LoraConfig
from tuneglm.errors import ConfigError
from tuneglm.models.family import Family
from tuneglm.models.layout import native_targets
from tuneglm.models.packed import is_packed
from tuneglm.models.prefix import MODULE as PREFIX
from tuneglm.models.quantization import is_quantized

ALL = "all"


def apply(model: PreTrainedModel, config: LoraConfig, family: Family) -> peft.PeftModel:
    """The model with an adapter, whose float32 weights alone are trained.

    Raises ConfigError where the model has no linear layer of a target's name.
    """
    if is_quantized(model) and not is_packed(model):
        # norms in float32, inputs that carry gradients
        model = peft.prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    adapted = peft.get_peft_model(
        model,
        peft.LoraConfig(
            task_type=peft.TaskType.CAUSAL_LM,
            r=config.rank,
            lora_alpha=config.alpha,  # type: ignore[arg-type]
            lora_dropout=config.dropout,
            target_modules=list(targets_of(model, config.targets, family)),
        ),
    )
    # peft would add the embeddings where it cannot read the base's own config.json
    save = partial(adapted.save_pretrained, save_embedding_layers=False)
    adapted.save_pretrained = save  # type: ignore[method-assign]
    return adapted


def targets_of(model: PreTrainedModel, wanted: Sequence[str], family: Family) -> tuple[str, ...]:
    """Names of modules → the same in the model's own words; none means the family's choice."""
    present = _linear_names(model)
    if ALL in wanted:
        return present
    targets = [
        ours
        for name in wanted or family.adapter_targets(model.config)
        for ours in _own_names(name, family)
    ]
    for name in targets:
        if name not in present:
            raise _no_target(name, present)
    return tuple(dict.fromkeys(targets))


def _own_names(name: str, family: Family) -> tuple[str, ...]:
    """A name of the published layout is known too: its parts in ours."""
    return (family.layout and native_targets(family.layout, name)) or (name,)


def _linear_names(model: PreTrainedModel) -> tuple[str, ...]:
    """Last part of the names of the linear layers but the head."""
    head = model.get_output_embeddings()
    names = (
        name.rpartition(".")[2]
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and module is not head and PREFIX not in name
    )
    return tuple(dict.fromkeys(names))


def _no_target(name: str, present: Iterable[str]) -> ConfigError:
    known = list(present)
    near = difflib.get_close_matches(name, known, n=1)
    nearest = f"did you mean `{near[0]}`? " if near else ""
    return ConfigError(
        f"The model has no linear layer named `{name}` for LoRA.",
        f"{nearest}its layers: {', '.join(known)}; method.targets=[…] chooses, `all` takes all",
    )
