"""Any model that transformers knows, through its own chat template."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as PEFT_TARGETS
from transformers import PreTrainedConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

from tuneglm.models.family import Family
from tuneglm.models.native.answers import read_answer
from tuneglm.models.native.byte_ids import prepare
from tuneglm.models.native.prompt import end_tokens, render
from tuneglm.models.native.tokenization import load_tokenizer

PROJECTIONS = ("q_proj", "k_proj", "v_proj")
LATENT = ("q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "kv_b_proj")
# model type → the modules of its attention, where peft does not know them
TARGETS: Mapping[str, tuple[str, ...]] = {
    "deepseek_v3": LATENT,
    "glm4_moe_lite": LATENT,
    "glm_moe_dsa": LATENT,
    "phi3": ("qkv_proj",),
}


def recognises(folder: Path, config: Mapping[str, Any]) -> bool:
    """Whether transformers has a class for this type of model."""
    # its own classes: one that a family of ours registered is that family's
    return config.get("model_type") in CONFIG_MAPPING_NAMES


def adapter_targets(config: PreTrainedConfig) -> tuple[str, ...]:
    """The projections of the attention to queries, keys and values, under the model's own names."""
    if config.model_type in TARGETS:
        return TARGETS[config.model_type]
    listed = PEFT_TARGETS.get(config.model_type, PROJECTIONS)
    return PROJECTIONS if "q_proj" in listed else tuple(listed)


NATIVE = Family(
    name="native",
    recognises=recognises,
    load_tokenizer=load_tokenizer,
    render=render,
    layout=None,
    adapter_targets=adapter_targets,
    end_tokens=end_tokens,
    prepare=prepare,
    read_answer=read_answer,
)
