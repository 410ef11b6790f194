"""Checkpoints as ChatGLM-Efficient-Tuning saved them in 2023, on the demo model of its family.

    lora       adapter_config.json as peft 0.3 wrote it, adapter_model.bin
    freeze     the layers that were trained, in adapter_model.bin
    p_tuning   the prefix, in adapter_model.bin

and beside each `finetuning_args.bin`, a pickled object of a class that is nowhere here.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from tuneglm.demo import model_folder
from tuneglm.models.weights import read_json, read_tensors, weight_files

BASE = model_folder("chatglm")
RANK, LENGTH, LAYERS = 4, 6, 1


def write(folder: Path, kind: str) -> Path:
    """Write the checkpoint of a method; its folder."""
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    weights = {name: each for file in weight_files(BASE) for name, each in read_tensors(file)}
    if kind == "lora":
        tensors = _lora(folder, weights)
    elif kind == "freeze":
        last = max(int(name.split(".")[2]) for name in weights if ".layers." in name)
        own = f"transformer.layers.{last}.mlp."
        tensors = {
            name: each.float() + 0.01 * torch.randn(each.shape)
            for name, each in weights.items()
            if name.startswith(own)
        }
    else:
        config = read_json(BASE / "config.json")
        width = config["num_layers"] * 2 * config["hidden_size"]
        tensors = {"transformer.prefix_encoder.embedding.weight": torch.randn(LENGTH, width)}
    torch.save(tensors, folder / "adapter_model.bin")
    _write_arguments(folder, kind)
    return folder


def _lora(folder: Path, weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    config = {
        "base_model_name_or_path": "THUDM/chatglm-6b",
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "init_lora_weights": True,
        "lora_alpha": 8.0,
        "lora_dropout": 0.1,
        "modules_to_save": None,
        "peft_type": "LORA",
        "r": RANK,
        "target_modules": ["query_key_value"],
        "task_type": "CAUSAL_LM",
    }
    (folder / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    tensors = {}
    for name, each in weights.items():
        if name.endswith("query_key_value.weight"):
            start = f"base_model.model.{name.removesuffix('.weight')}"
            tensors[f"{start}.lora_A.weight"] = 0.1 * torch.randn(RANK, each.shape[1])
            tensors[f"{start}.lora_B.weight"] = 0.1 * torch.randn(each.shape[0], RANK)
    return tensors


def _write_arguments(folder: Path, kind: str) -> None:
    """As its Trainer did: torch.save of a dataclass of the module `utils.config`."""

    @dataclass
    class FinetuningArguments:
        finetuning_type: str
        num_layer_trainable: int = LAYERS
        name_module_trainable: str = "mlp"
        pre_seq_len: int = LENGTH
        prefix_projection: bool = False
        lora_rank: int = RANK
        lora_alpha: float = 8.0
        lora_dropout: float = 0.1
        lora_target: Any = ("query_key_value",)

    module: Any = ModuleType("utils_of_old")
    module.FinetuningArguments = FinetuningArguments
    FinetuningArguments.__module__ = module.__name__
    FinetuningArguments.__qualname__ = "FinetuningArguments"
    sys.modules[module.__name__] = module
    try:
        torch.save(FinetuningArguments(kind), folder / "finetuning_args.bin")
    finally:
        # whoever reads it has no such class
        del sys.modules[module.__name__]
