"""A model's tokenizer and renderer, as `data/` wants them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from tuneglm.config import ModelConfig
from tuneglm.data.encode import Encoder, rule_of
from tuneglm.data_config import DataConfig
from tuneglm.models.family import Family
from tuneglm.models.loading import load_tokenizer, model_folder, resolved_family
from tuneglm.models.tokenization import tokenizer_digest

# what a decoder shows for a character whose bytes are not all there
HALF = "\ufffd"
BYTES_OF_A_CHARACTER = 4
# before a place in a text, to know whether a character ends there
TOKENS_READ = 8


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
    rule = rule_of(config, family.answers_per_row)
    return Encoder(
        partial(family.render, tokenizer),
        replace(rule, whole=partial(whole_characters, tokenizer)),
        f"{family.name} {tokenizer_digest(tokenizer)}",
        partial(family.prepare, tokenizer),
    )


def whole_characters(tokenizer: Any, ids: Sequence[int]) -> int:
    """How many of a text's first tokens end with a whole character: one may be several tokens."""
    for count in range(len(ids), max(0, len(ids) - BYTES_OF_A_CHARACTER), -1):
        if not tokenizer.decode(list(ids[max(0, count - TOKENS_READ) : count])).endswith(HALF):
            return count
    return len(ids)


def load_encoder(model: ModelConfig, data: DataConfig) -> ModelEncoder:
    """Of a model, its tokenizer alone is loaded; where the model is fetched, it is all of it."""
    folder = model_folder(model)
    family = resolved_family(folder, model.family)
    tokenizer = load_tokenizer(folder, family=family.name)
    return ModelEncoder(encoder_of(data, tokenizer, family), family, tokenizer)
