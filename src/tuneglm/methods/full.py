"""Every weight is trained."""

from transformers import PreTrainedModel

from tuneglm.errors import ConfigError
from tuneglm.method_config import FullConfig
from tuneglm.methods.tuned import Holding, Tuned
from tuneglm.models.family import Family


def check(model: PreTrainedModel, config: FullConfig, family: Family, holding: Holding) -> None:
    """Raises ConfigError where the weights are packed in bits."""
    if holding.bits is not None:
        raise ConfigError(
            f"`method=full` cannot train weights that are packed in {holding.bits} bits.",
            "leave model.bits out and take a 16-bit checkpoint (tuneglm export writes one), or "
            "take method=lora, freeze, p_tuning or prompt",
        )


def apply(model: PreTrainedModel, config: FullConfig, family: Family) -> Tuned:
    """The model with all weights trained."""
    return Tuned(model.requires_grad_(True))
