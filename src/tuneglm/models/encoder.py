"""A model's tokenizer and renderer, as `data/` wants them."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from tuneglm.config import ModelConfig
from tuneglm.data.encode import Encoder, rule_of
from tuneglm.data_config import DataConfig
from tuneglm.models.family import Family
from tuneglm.models.loading import load_tokenizer, model_folder, resolved_family
from tuneglm.models.tokenization import tokenizer_digest


@dataclass(frozen=True)
class ModelEncoder:
    """How a model's rows are made, and how they are read again."""

    encoder: Encoder
    family: Family
    tokenizer: Any

    def decode(self, ids: list[int]) -> str:
        """The text of ids, special tokens left in."""
        return str(self.tokenizer.decode(ids))


def encoder_of(config: DataConfig, tokenizer: Any, family: Family) -> Encoder:
    """How Examples become the rows that the family's model sees."""
    return Encoder(
        partial(family.render, tokenizer),
        rule_of(config, family.answers_per_row),
        f"{family.name} {tokenizer_digest(tokenizer)}",
    )


def load_encoder(model: ModelConfig, data: DataConfig) -> ModelEncoder:
    """Of a model, its tokenizer alone is loaded; where the model is fetched, it is all of it."""
    folder = model_folder(model)
    family = resolved_family(folder, model.family)
    tokenizer = load_tokenizer(folder, family=family.name)
    return ModelEncoder(encoder_of(data, tokenizer, family), family, tokenizer)
