"""What a run starts from beside its model: adapters that are merged, and one that goes on."""

from pathlib import Path
from typing import Any

from tuneglm.config import ModelConfig, RunConfig
from tuneglm.errors import ConfigError
from tuneglm.methods import lora
from tuneglm.methods.tuned import Holding, Tuned
from tuneglm.models.adapters import add_adapter, merge_adapters
from tuneglm.models.bases import doubt_bases, refuse_other_bases
from tuneglm.models.chain import kind_of, with_earlier
from tuneglm.models.family import Family
from tuneglm.models.loading import adapter_folder


def merged_adapters(model: ModelConfig) -> list[Path]:
    """The folders that are merged before anything is trained, in their order."""
    folders = [adapter_folder(path) for path in model.adapters]
    chain = [path for path, _ in with_earlier(folders)]
    return chain[:-1] if model.continue_last else chain


def check_start(config: RunConfig, holding: Holding) -> None:
    """Raises UserError for an adapter that cannot be merged, or not be trained further."""
    if not config.model.adapters:
        return
    folders = [adapter_folder(path) for path in config.model.adapters]
    refuse_other_bases(folders)
    for folder in merged_adapters(config.model):
        kind = kind_of(folder)
        if kind in ("p_tuning", "prompt"):
            raise ConfigError(
                f"The adapter `{folder}` is a prefix, which merges into no weights.",
                "go on training it (model.continue_last=true), or leave it out",
            )
        if kind == "lora" and holding.bits is not None:
            raise ConfigError(
                f"The adapter `{folder}` cannot be merged into weights of {holding.bits} bits.",
                "write both into one model first: tuneglm export MODEL OUT --adapter ADAPTER",
            )
    if config.model.continue_last:
        _check_continued(config, folders[-1])


def merge_earlier(model: Any, config: ModelConfig, family: Family) -> None:
    """Merge `model.adapters` into the model, but for one that goes on."""
    for number, folder in enumerate(merged_adapters(config)):
        add_adapter(model, folder, family, f"earlier_{number}")
        merge_adapters(model)
    doubt_bases([adapter_folder(path) for path in config.adapters], model.name_or_path)


def continue_last(tuned: Tuned, config: RunConfig, family: Family) -> None:
    """Let what is trained begin with the values of the last of `model.adapters`."""
    if not config.model.continue_last:
        return
    folder = adapter_folder(config.model.adapters[-1])
    if tuned.restore is not None:
        tuned.restore(folder)
    else:
        lora.take_over(tuned.model, folder, family)


def _check_continued(config: RunConfig, folder: Path) -> None:
    kind, method = kind_of(folder), config.method.name
    if kind != method:
        raise ConfigError(
            f"`model.continue_last` goes on with `{folder}`, which is of method={kind}, and the "
            f"run's is {method}.",
            f"take method={kind}, or merge it: model.continue_last=false",
        )
    if config.method.name == "lora":
        lora.check_continued(config.method, folder)
