"""The options of each method of tuning; a class's docstring says when to choose it."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from tuneglm.section import Section


def _listed(value: Any) -> Any:
    """`a,b` as well as `[a, b]`."""
    return [part for part in value.split(",") if part] if isinstance(value, str) else value


class LoraConfig(Section):
    """Low-rank adapters, for nearly every task: small files, little memory, the base is kept."""

    name: Literal["lora"] = "lora"
    """The method; `method=full` is short for `method.name=full`."""
    rank: Annotated[int, Field(ge=1)] = 8
    """Rank of the update."""
    alpha: Annotated[float, Field(gt=0)] = 16.0
    """Scale; the update is multiplied by alpha / rank."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Dropout on the adapter's input."""
    targets: tuple[str, ...] = ()
    """Names of the adapted modules, fused or split (`query_key_value`, `q_proj`); empty: the
    family's own choice. `all` is every linear layer."""
    exclude: tuple[str, ...] = ()
    """Names of modules that are left out of `targets`."""
    rank_pattern: dict[str, Annotated[int, Field(ge=1)]] = Field(default_factory=dict)
    """Module, or the end of its name → a rank of its own: `{down_proj: 32}`."""
    rslora: bool = False
    """Scale by alpha / √rank instead (arXiv 2312.03732): for ranks of 64 and more."""
    dora: bool = False
    """Train the length of each row apart from its direction (arXiv 2402.09353): nearer to full
    tuning at small ranks, and slower."""
    init: Literal["zero", "pissa"] = "zero"
    """How the update starts: `zero`, or from the largest singular values of the weights (`pissa`,
    arXiv 2404.02948), which learns faster and needs a 16-bit base. Saved as plain LoRA of twice
    the rank."""
    lora_plus: Annotated[float, Field(ge=1)] = 1.0
    """How many times faster B learns than A (LoRA+, arXiv 2402.12354, whose authors take 16)."""
    modules_to_save: tuple[str, ...] = ()
    """Names of modules that are trained whole beside the adapter, such as `lm_head`."""
    tokens: tuple[Annotated[int, Field(ge=0)], ...] = ()
    """Ids of tokens whose rows are trained as well, those of the embeddings and of the head: such
    as ones added to the tokenizer."""

    _names = field_validator("targets", "exclude", "modules_to_save", mode="before")(_listed)


class FreezeConfig(Section):
    """Some layers are trained, the others frozen: for more room than LoRA has, at a fifth of the
    memory of full tuning."""

    name: Literal["freeze"] = "freeze"
    """The method."""
    layers: int = 3
    """How many layers are trained: n > 0 the last n, n < 0 the first n."""
    modules: tuple[str, ...] = ("mlp",)
    """What is trained in them: `mlp`, `qkv`, `attention`, `all`, or names of modules, with `*`."""
    embeddings: bool = False
    """Train the embeddings of the tokens too."""
    head: bool = False
    """Train the head too; where it is tied to the embeddings, both are one."""
    frozen_states: Literal["auto", "on", "off"] = "auto"
    """What the frozen layers below the trained ones compute is the same in each epoch: `auto`
    computes it once on a processor and keeps it in the output folder until the run ends, where that
    saves enough and the disk has room; `on` does so on a GPU too; `off` computes it each time."""

    _names = field_validator("modules", mode="before")(_listed)

    @field_validator("layers")
    @classmethod
    def _some(cls, value: int) -> int:
        if value == 0:
            raise ValueError(
                "`method.layers` is 0: nothing would be trained.\n"
                "n > 0 trains the last n layers, n < 0 the first n"
            )
        return value


class FullConfig(Section):
    """Every weight is trained: the most memory, and for large changes only, such as a new
    language."""

    name: Literal["full"] = "full"
    """The method."""


class PTuningConfig(Section):
    """P-tuning v2, keys and values that every layer sees before the text: for one narrow task, and
    for what the official scripts of ChatGLM load."""

    name: Literal["p_tuning"] = "p_tuning"
    """The method."""
    length: Annotated[int, Field(ge=1)] = 128
    """Length of the prefix, in tokens; it takes no room in the context."""
    projection: bool | Annotated[int, Field(ge=2)] = False
    """A small network behind the prefix, which steadies the training: its hidden size; `true` is
    the model's, as in the official scripts."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Dropout on the prefix."""


class PromptConfig(Section):
    """Soft prompts, trained embeddings before each row: the smallest files, for a style or one
    simple task on a large model."""

    name: Literal["prompt"] = "prompt"
    """The method."""
    length: Annotated[int, Field(ge=1)] = 32
    """How many soft tokens stand before a row."""
    init: Literal["words", "random"] = "words"
    """What they start as: the embeddings of words of the vocabulary, drawn at random (`words`), or
    noise (`random`)."""


METHOD_SECTIONS: tuple[type[Section], ...] = (
    LoraConfig,
    FullConfig,
    FreezeConfig,
    PTuningConfig,
    PromptConfig,
)
MethodConfig = Annotated[
    LoraConfig | FullConfig | FreezeConfig | PTuningConfig | PromptConfig,
    Field(discriminator="name"),
]
