"""What methods check of a length before a model is loaded."""

from transformers import PreTrainedModel

from tuneglm.errors import ConfigError


def check_length(model: PreTrainedModel, length: int) -> None:
    """Raises ConfigError where what stands before a row is as long as the context."""
    context = getattr(model.config, "max_position_embeddings", None)
    if context is not None and length >= context:
        raise ConfigError(
            f"`method.length` is {length}, and the model's context has {context} tokens.",
            "some 8 to 256 are usual",
        )
