"""RunConfig: every option of tuneglm, written once.

The command line's help, the reference page and the saved `run.yaml` are drawn
from these classes; each field's docstring is its help. One section a variant,
told apart by `name`. `training:` is transformers' own TrainingArguments and is
handed on unchanged.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator
from typing_extensions import Self

from tuneglm.config_errors import config_error, unfit, unknown_option
from tuneglm.data_config import DataConfig, DatasetEntry, IdentityConfig
from tuneglm.errors import ConfigError
from tuneglm.method_config import LoraConfig, MethodConfig
from tuneglm.option_list import Option, flag_options, run_options
from tuneglm.run_file import read_run_file, read_yaml
from tuneglm.section import Section
from tuneglm.serve_config import ServeConfig
from tuneglm.trainer_options import expected_value, trainer_options
from tuneglm.yaml_faults import one_line


class ModelConfig(Section):
    """Which model, from where, and how it is held in memory."""

    path: str
    """A folder, or an id on the hub (OWNER/NAME)."""
    family: str | None = None
    """Family of the model; guessed, and said, when left out."""
    hub: Literal["huggingface", "modelscope"] = "huggingface"
    """Where an id is fetched from; a mirror is set by the hub's own variable (HF_ENDPOINT)."""
    revision: str | None = None
    """Branch, tag or commit on the hub."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Type of the frozen weights; `auto` is bfloat16 where the device computes in it natively,
    float16 on older GPUs, else float32. Trained weights are always float32."""
    bits: Literal[16, 8, 4, "auto"] | None = None
    """Bits of the frozen weights: 8 and 4 pack them (needs the extra `quant`), 16 does not, `auto`
    packs them as little as the device's memory asks for. Left out, they are as the model's files
    have them: those of an int8 or int4 checkpoint stay packed."""
    adapters: tuple[str, ...] = ()
    """Folders of trained parts that the run starts from, merged into the model in this order."""
    continue_last: bool = False
    """Train the last of `adapters` further instead of merging it and starting a fresh one."""
    attention: Literal["auto", "sdpa", "eager", "flash_attention_2", "flex_attention"] = "auto"
    """Attention kernel; `auto` lets transformers choose."""

    @field_validator("adapters", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return [part for part in value.split(",") if part] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _something_to_continue(self) -> Self:
        if self.continue_last and not self.adapters:
            raise ValueError(
                "`model.continue_last` is true, and there is no adapter to continue.\n"
                "say which: model.adapters=FOLDER"
            )
        return self


class SftConfig(Section):
    """Supervised fine-tuning: cross entropy on the answers."""

    name: Literal["sft"] = "sft"
    """The stage: `sft`."""
    kl: Annotated[float, Field(ge=0)] = 0.0
    """Learning without forgetting: on the answers of sets with `replay` the distance from what the
    base would say (Kullback–Leibler, base to tuned), times this, is added to the loss."""


class ProbeConfig(Section):
    """Questions that the model is asked before, while and after it is tuned, with what has to be in
    the answers; those about `data.identity` are asked by themselves."""

    files: tuple[str, ...] = ()
    """Files of questions, as `tuneglm data identity` writes them: a list of `{question, asks,
    expects: […], rejects: […]}`; an answer holds one of `expects`, and none of `rejects`."""
    systems: tuple[str, ...] = ("", "You are a helpful assistant.")
    """Each question is asked behind each of these system lines; an empty one is none."""
    questions: Annotated[int, Field(ge=1)] | None = None
    """So many of each kind are asked while it trains, at each evaluation; by default all."""
    max_new_tokens: Annotated[int, Field(ge=1)] = 32
    """Longest answer, in tokens; the likeliest token is taken each time."""
    stop: bool = True
    """End the training when at two evaluations all are answered as they should be, and the
    evaluation loss is not above the base's."""

    @field_validator("files", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return [part for part in value.split(",") if part] if isinstance(value, str) else value


StageConfig = Annotated[SftConfig, Field()]


class DataRunConfig(Section):
    """A run of which the data alone is looked at: it may lack a model."""

    model: ModelConfig | None = None
    data: DataConfig = DataConfig()
    method: MethodConfig = LoraConfig()
    stage: StageConfig = SftConfig()
    probe: ProbeConfig = ProbeConfig()
    training: dict[str, Any] = Field(default_factory=dict)
    """transformers.TrainingArguments, key by key; `output_dir` is where results go."""
    resume: str = "auto"
    """`auto`: go on from the newest whole checkpoint in the output folder; `never`: the folder must
    be empty; or the path of a checkpoint, from which also a changed run goes on."""
    patience: Annotated[int, Field(ge=1)] | None = None
    """End the run when so many evaluations in a row brought no lower loss, and keep the weights of
    the lowest; needs rows for evaluation. Left out: train to the end."""
    average: Annotated[float, Field(gt=0, le=1)] | None = None
    """The result is the mean of the weights after each step of this last share of the run (0.5: of
    its second half), which answers more evenly than the last step's; what is evaluated is the mean
    too. It takes four bytes a trained weight. Left out: the last step's, or the best checkpoint's.
    """
    memory_check: Literal["refuse", "warn", "off"] = "refuse"
    """What is done about a run that will not fit into memory, which is told before the model is
    loaded: `refuse` it, `warn`, or do not ask (`off`)."""

    @field_validator("training")
    @classmethod
    def _known_arguments(cls, value: dict[str, Any]) -> dict[str, Any]:
        for key, given in value.items():
            if key not in trainer_options():
                raise ValueError(unknown_option(f"training.{key}", key, trainer_options()))
            expected = expected_value(key, given)
            if expected is not None:
                raise ValueError(unfit(f"training.{key}", given, expected))
        return value


class RunConfig(DataRunConfig):
    """A whole run. `train(config)` needs nothing else."""

    model: ModelConfig


class ChatConfig(Section):
    """How an answer is drawn."""

    system: str = ""
    """System message."""
    max_new_tokens: Annotated[int, Field(ge=1)] = 512
    """Longest answer, in tokens."""
    temperature: Annotated[float, Field(ge=0)] = 0.8
    """0 always takes the likeliest token; higher is freer."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Draw among the likeliest tokens that together have this probability."""
    repetition_penalty: Annotated[float, Field(gt=0)] = 1.0
    """Above 1 makes tokens that stand already less likely."""
    seed: int | None = None
    """Makes sampling repeatable."""


# of each its class; a variant's section has its own (METHOD_SECTIONS), and "" is the run itself
SECTIONS: Mapping[str, type[Section]] = {
    "model": ModelConfig,
    "data": DataConfig,
    "data.train[]": DatasetEntry,
    "data.identity": IdentityConfig,
    "method": LoraConfig,
    "stage": SftConfig,
    "probe": ProbeConfig,
    "": RunConfig,
}


def options() -> Iterator[Option]:
    """Every option of a run, in the order of the classes."""
    return run_options(SECTIONS)


def chat_options() -> Iterator[Option]:
    """Every option of how an answer is drawn, as the command line writes it."""
    return flag_options(ChatConfig)


def serve_options() -> Iterator[Option]:
    """Every option of `tuneglm serve`, as the command line writes it."""
    return flag_options(ServeConfig)


Run = TypeVar("Run", RunConfig, DataRunConfig)


def load_config(path: str | Path | None = None, overrides: Sequence[str] = ()) -> RunConfig:
    """A run file, `section.key=value` overrides, or both → RunConfig.

    Values of overrides are YAML: `data.train=[a,b]`, `training.bf16=true`.
    `method=full` is short for `method.name=full`. Raises ConfigError, which for
    an unknown key names the nearest known one.
    """
    return _loaded(RunConfig, path, overrides)


def load_data_config(
    path: str | Path | None = None, overrides: Sequence[str] = ()
) -> DataRunConfig:
    """As `load_config`, of a run that may lack a model."""
    return _loaded(DataRunConfig, path, overrides)


def _loaded(kind: type[Run], path: str | Path | None, overrides: Sequence[str]) -> Run:
    tree = {} if path is None else read_run_file(Path(path))
    for override in overrides:
        _apply_override(tree, override)
    try:
        return kind.model_validate(_short_forms(tree))
    except ValidationError as error:
        raise config_error(error, SECTIONS) from None


def chat_config(values: Mapping[str, Any]) -> ChatConfig:
    """How an answer is drawn; raises ConfigError for a value that cannot be."""
    try:
        return ChatConfig.model_validate(values)
    except ValidationError as error:
        raise config_error(error, SECTIONS) from None


def dump_config(config: RunConfig) -> str:
    """The resolved config as YAML that `load_config` reads back to an equal one."""
    tree = config.model_dump(mode="json", exclude_none=True)
    if config.data.max_source_length is not None:
        # the two lengths stand in its place
        del tree["data"]["cutoff"]
    for key in ("train", "evaluation"):
        for entry in tree["data"][key]:
            for empty in [name for name, value in entry.items() if value == {}]:
                del entry[empty]
    return yaml.safe_dump(tree, allow_unicode=True, sort_keys=False)


def _apply_override(tree: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"Cannot read `{override}`.", "overrides are written section.key=value")
    try:
        value = read_yaml(text)
    except yaml.YAMLError as error:
        told = one_line(error).replace(' in "<unicode string>"', "")
        raise ConfigError(
            f"The value of `{key}` is not readable: {told}.",
            f"YAML wants as many `]` and `}}` as `[` and `{{`; in quotes: '{key}=[a, b]'",
        ) from None
    *parents, last = key.split(".")
    for parent in parents:
        inner = tree.get(parent)
        if inner is None:
            inner = tree[parent] = {}
        if isinstance(inner, str) and parent in ("method", "stage"):
            inner = tree[parent] = {"name": inner}
        if not isinstance(inner, dict):
            raise ConfigError(f"`{parent}` is a value, not a section, in `{override}`.")
        tree = inner
    tree[last] = value


def _short_forms(tree: dict[str, Any]) -> dict[str, Any]:
    """`method: full` means `{name: full}`; a method without a name is LoRA."""
    # a section of which nothing is written (`training:` alone) is as if left out
    sections = RunConfig.model_fields
    tree = {key: value for key, value in tree.items() if value is not None or key not in sections}
    for key, default in (("method", "lora"), ("stage", "sft")):
        if isinstance(tree.get(key), str):
            tree[key] = {"name": tree[key]}
        elif isinstance(tree.get(key), dict):
            tree[key] = {"name": default, **tree[key]}
    return tree
