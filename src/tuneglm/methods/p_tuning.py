"""P-tuning v2 (arXiv:2110.07602): a prefix of keys and values is trained, the model is frozen."""

from dataclasses import replace
from functools import partial

from transformers import PreTrainedModel

from tuneglm.method_config import PTuningConfig
from tuneglm.methods.parts import tuned_parts
from tuneglm.methods.shape import check_length
from tuneglm.methods.tuned import Holding, Tuned
from tuneglm.models.family import Family
from tuneglm.models.prefix import (
    PrefixEncoder,
    check_sees_prefix,
    prefix_off,
    prefix_sizes,
    put_prefix,
)


def check(model: PreTrainedModel, config: PTuningConfig, family: Family, holding: Holding) -> None:
    """Raises a UserError for a prefix longer than the context, and where none can be seen."""
    check_length(model, config.length)
    check_sees_prefix(model)


def apply(model: PreTrainedModel, config: PTuningConfig, family: Family) -> Tuned:
    """The model with a new prefix, whose float32 weights alone are trained."""
    model.requires_grad_(False)
    put_prefix(model, _encoder(model, config, family))
    return replace(tuned_parts(model, family), base=partial(prefix_off, model))


def _encoder(model: PreTrainedModel, config: PTuningConfig, family: Family) -> PrefixEncoder:
    sizes, hidden = prefix_sizes(model.config), model.config.hidden_size
    if config.projection is False:
        encoder = PrefixEncoder(config.length, sizes, None, None)
    else:
        width = family.prefix_width(model.config) if family.prefix_width else hidden
        inner = hidden if config.projection is True else config.projection
        encoder = PrefixEncoder(config.length, sizes, width, inner)
    encoder.dropout.p = config.dropout
    return encoder
