"""Every weight is trained."""

from transformers import PreTrainedModel

from tuneglm.config import FullConfig
from tuneglm.errors import ConfigError
from tuneglm.models.family import Family
from tuneglm.models.packed import is_packed
from tuneglm.models.quantization import is_quantized


def apply(model: PreTrainedModel, config: FullConfig, family: Family) -> PreTrainedModel:
    """The model with all weights trained; raises ConfigError where they are packed in bits."""
    if is_packed(model):
        raise ConfigError(
            "`method=full` cannot train the packed weights of an int4 or int8 checkpoint.",
            "write it in 16 bits first (tuneglm export), or take method=lora",
        )
    if is_quantized(model):
        raise ConfigError(
            "`method=full` cannot train weights that are packed in bits.",
            "leave model.bits out, or take method=lora",
        )
    return model.requires_grad_(True)
