"""`load_pretrained` in one's own code: a model that talks as the official ones do.

model, tokenizer = load_pretrained(ModelArguments(checkpoint_dir="out"))
model = model.half().cuda()
response, history = model.chat(tokenizer, "你好", history=[])
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tuneglm.errors import ConfigError
from tuneglm.original.house import House
from tuneglm.original.official import Official
from tuneglm.original.sections import refuse_missing
from tuneglm.original.translation import translated


@dataclass
class ModelArguments:
    """Which model, and which checkpoints; names and defaults as they were."""

    model_name_or_path: str | None = None
    config_name: str | None = None
    tokenizer_name: str | None = None
    cache_dir: str | None = None
    use_fast_tokenizer: bool = True
    model_revision: str | None = None
    use_auth_token: bool = False
    quantization_bit: int | None = None
    quantization_type: str = "nf4"
    double_quantization: bool = True
    compute_dtype: Any = None
    checkpoint_dir: str | list[str] | None = None
    reward_model: str | None = None
    resume_lora_training: bool = True
    plot_loss: bool = False
    resize_position_embeddings: bool = False

    def __post_init__(self) -> None:
        """A text of several folders is a list of them."""
        if isinstance(self.checkpoint_dir, str):
            self.checkpoint_dir = [part.strip() for part in self.checkpoint_dir.split(",")]


@dataclass
class DataTrainingArguments:
    """What was given of the data; `src/finetune.py` reads it, `load_pretrained` does not."""

    dataset: str = "alpaca_zh"
    dataset_dir: str = "data"
    split: str = "train"
    max_source_length: int = 512
    max_target_length: int = 512
    max_samples: int | None = None
    source_prefix: str | None = None


@dataclass
class FinetuningArguments:
    """What was given of the method; a checkpoint knows its own."""

    finetuning_type: str = "lora"
    num_layer_trainable: int = 3
    name_module_trainable: str = "mlp"
    pre_seq_len: int = 16
    prefix_projection: bool = False
    lora_rank: int = 8
    lora_alpha: float = 32.0
    lora_dropout: float = 0.1
    lora_target: str | list[str] = field(default="query_key_value")


Loader = Callable[..., tuple[Any, Any]]


def loader(model: str) -> Loader:
    """`load_pretrained` for whoever's CHATGLM_REPO_NAME that is."""

    def load_pretrained(
        model_args: ModelArguments,
        training_args: Any = None,
        finetuning_args: Any = None,
        is_trainable: bool = False,
        stage: str = "sft",
    ) -> tuple[Any, Any]:
        """(model, tokenizer), ready to answer; the model has `chat` and `stream_chat`."""
        if is_trainable or stage != "sft":
            raise ConfigError(
                "`load_pretrained` gives a model that answers, not one that is trained.",
                "python src/finetune.py trains; in Python: tuneglm.train",
            )
        return load(model_args, House(model))

    return load_pretrained


def load(arguments: ModelArguments, house: House) -> tuple[Any, Any]:
    """See `loader`; raises UserError for what cannot be found or had."""
    from tuneglm.config import load_config
    from tuneglm.original.command import overrides
    from tuneglm.original.judging import loaded

    values = {name: value for name, value in vars(arguments).items() if value is not None}
    values["checkpoint_dir"] = ",".join(arguments.checkpoint_dir or ())
    given = {name: value for name, value in values.items() if value != ""}
    refuse_missing(given)
    settings = translated(given, house, job="predict", has_gpu=None).settings
    kept = {key: each for key, each in settings.items() if key.startswith("model.")}
    chat = loaded(load_config(None, overrides(kept)))
    Official(chat).attach()
    return chat.model, chat.tokenizer
