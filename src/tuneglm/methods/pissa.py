"""PiSSA (arXiv 2404.02948): LoRA that begins at the largest singular values of the weights.

It takes them out of the base: W = R + s·B₀A₀, and trains s·BA on R. What is saved
is plain LoRA on W itself, of twice the rank: s·(BA - B₀A₀) = s·[B, -B₀][A; A₀].
"""

import copy
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import peft
import torch
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file, save_file

from tuneglm.methods.tuned import Tuned

# a fast decomposition with so many iterations
INIT = "pissa_niter_16"
ADAPTER = "default"
CONFIG_FILE, WEIGHTS_FILE = "adapter_config.json", "adapter_model.safetensors"

Tensors = dict[str, torch.Tensor]


def tuned(made: Tuned) -> Tuned:
    """The same, saved as plain LoRA and restored from it."""
    model = made.model
    first = {name: each.clone().cpu() for name, each in _adapter(model).items()}
    model.save_pretrained = partial(_save, model, first)
    # with the adapter off, what was taken out of the base is missing
    return replace(made, restore=partial(_restore, model, first), base=None)


def _adapter(model: Any, state_dict: Tensors | None = None) -> Tensors:
    tensors: Tensors = peft.get_peft_model_state_dict(
        model, state_dict=state_dict, adapter_name=ADAPTER, save_embedding_layers=False
    )
    return tensors


def _save(
    model: Any,
    first: Tensors,
    folder: str | Path,
    state_dict: Tensors | None = None,
    is_main_process: bool = True,
    **_: Any,
) -> None:
    now = _adapter(model, state_dict)
    if not is_main_process:
        return
    Path(folder).mkdir(parents=True, exist_ok=True)
    tensors = {name: _doubled(name, each.cpu(), first) for name, each in now.items()}
    save_file(tensors, Path(folder) / WEIGHTS_FILE, metadata={"format": "pt"})
    _plain_config(model.peft_config[ADAPTER], model).save_pretrained(str(folder))


def _doubled(name: str, tensor: torch.Tensor, first: Tensors) -> torch.Tensor:
    if ".lora_A." in name:
        return torch.cat((tensor, first[name])).contiguous()
    if ".lora_B." in name:
        return torch.cat((tensor, -first[name]), dim=1).contiguous()
    return tensor.contiguous()


def _plain_config(config: peft.LoraConfig, model: Any) -> peft.LoraConfig:
    plain = copy.copy(config)
    plain.r = 2 * config.r
    plain.rank_pattern = {name: 2 * rank for name, rank in (config.rank_pattern or {}).items()}
    # the scale of an update, alpha / rank or alpha / √rank, stays what it was
    plain.lora_alpha = config.lora_alpha * (2**0.5 if config.use_rslora else 2)  # type: ignore[assignment]
    plain.init_lora_weights = True
    plain.inference_mode = True
    plain.base_model_name_or_path = model.get_base_model().name_or_path
    return plain


def _restore(model: Any, first: Tensors, folder: Path) -> None:
    """Both halves back: what was trained, and what was taken out of the base then."""
    saved = load_file(folder / WEIGHTS_FILE)
    now: Tensors = {}
    for name, tensor in saved.items():
        if ".lora_A." in name:
            now[name], taken = tensor.chunk(2)
        elif ".lora_B." in name:
            now[name], taken = tensor.chunk(2, dim=1)
            taken = -taken
        else:
            now[name] = tensor
            continue
        first[name] = taken.contiguous()
    _take_out(model, first)
    peft.set_peft_model_state_dict(model, now, adapter_name=ADAPTER)


@torch.no_grad()
def _take_out(model: Any, first: Tensors) -> None:
    """Let the base lack what it lacked when the checkpoint was written, if that was another."""
    for module_name, layer in model.named_modules():
        if not isinstance(layer, LoraLayer) or ADAPTER not in layer.lora_A:
            continue
        parts: Any = layer
        down, up = parts.lora_A[ADAPTER].weight, parts.lora_B[ADAPTER].weight
        then = [first[f"{module_name}.lora_{letter}.weight"].to(down) for letter in "AB"]
        if torch.equal(down, then[0]) and torch.equal(up, then[1]):
            continue
        weight = layer.get_base_layer().weight
        weight += (layer.scaling[ADAPTER] * (up @ down - then[1] @ then[0])).to(weight.dtype)
