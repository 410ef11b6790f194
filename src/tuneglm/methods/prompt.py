"""Soft prompts (arXiv:2104.08691): embeddings before each row are trained, all else is frozen."""

from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from tuneglm.method_config import PromptConfig
from tuneglm.methods.shape import check_length
from tuneglm.methods.tuned import Holding, Tuned
from tuneglm.models.family import Family
from tuneglm.models.prefix import check_sees_prefix, prefix_off
from tuneglm.models.soft_prompt import MODULE, put_soft_prompt, read_soft_prompt, save_soft_prompt
from tuneglm.models.weights import input_weight


def check(model: PreTrainedModel, config: PromptConfig, family: Family, holding: Holding) -> None:
    """Raises a UserError for a prompt longer than the context, and where none can be seen."""
    check_length(model, config.length)
    check_sees_prefix(model)


def apply(model: PreTrainedModel, config: PromptConfig, family: Family) -> Tuned:
    """The model with new soft tokens, which alone are trained, in float32."""
    model.requires_grad_(False)
    put_soft_prompt(model, _first_values(model, config), family)
    flags: Any = model
    flags.save_pretrained = partial(_save, model)
    return Tuned(model, restore=partial(_restore, model), base=partial(prefix_off, model))


def _first_values(model: PreTrainedModel, config: PromptConfig) -> torch.Tensor:
    words = input_weight(model).detach().float()
    if config.init == "words":
        return words[torch.randint(len(words), (config.length,)).to(words.device)]
    return torch.randn(config.length, words.shape[1], device=words.device) * words.std()


def _name(model: PreTrainedModel) -> str:
    return f"{model.base_model_prefix}.{MODULE}.embedding"


def _save(
    model: PreTrainedModel,
    folder: str | Path,
    state_dict: dict[str, torch.Tensor] | None = None,
    is_main_process: bool = True,
    **_: Any,
) -> None:
    name = _name(model)
    if is_main_process:
        embeddings = state_dict[name] if state_dict else model.get_parameter(name)
        save_soft_prompt(model, embeddings, Path(folder))


def _restore(model: PreTrainedModel, folder: Path) -> None:
    with torch.no_grad():
        model.get_parameter(_name(model)).copy_(read_soft_prompt(folder))
