"""A YAML file of LLaMA-Factory → a run: one table, and what takes more than another name."""

from collections.abc import Iterator, Mapping
from typing import Any

from tuneglm.errors import ConfigError
from tuneglm.original.sections import Settings
from tuneglm.original.translation import Translation
from tuneglm.trainer_options import trainer_options

# their key → ours, with the same values
KEYS = {
    "model_name_or_path": "model.path",
    "model_revision": "model.revision",
    "quantization_bit": "model.bits",
    "dataset_dir": "data.dir",
    "cutoff_len": "data.cutoff",
    "preprocessing_num_workers": "data.workers",
    "streaming": "data.streaming",
    "buffer_size": "data.shuffle_buffer",
    "finetuning_type": "method.name",
    "lora_rank": "method.rank",
    "lora_alpha": "method.alpha",
    "lora_dropout": "method.dropout",
    "use_rslora": "method.rslora",
    "use_dora": "method.dora",
    "loraplus_lr_ratio": "method.lora_plus",
    "freeze_trainable_layers": "method.layers",
    "evaluation_strategy": "training.eval_strategy",
}
# their key → ours, whose values are lists
LISTS = {
    "lora_target": "method.targets",
    "additional_target": "method.modules_to_save",
    "freeze_trainable_modules": "method.modules",
    "adapter_name_or_path": "model.adapters",
}
# what they take where nothing is said, and we would not
DEFAULTS = {
    "lora_target": "all",
    "cutoff_len": 2048,
    "learning_rate": 5e-5,
    "num_train_epochs": 3.0,
    "lr_scheduler_type": "linear",
    "freeze_trainable_layers": 2,
    "freeze_trainable_modules": "all",
}
OF_METHOD = {
    "lora": ("lora_", "use_", "loraplus", "additional_target", "pissa_init"),
    "freeze": ("freeze_",),
    "full": (),
}
ATTENTION = {"fa2": "flash_attention_2", "sdpa": "sdpa", "disabled": "eager", "auto": "auto"}
# their key → what is to be said of it; nothing of those that mean the same here
REMARKS = {
    "cutoff_len": "a longer row loses its oldest turns first; there prompt and answer are cut.",
    "preprocessing_num_workers": "it holds for large sets, a small one is encoded by one process.",
    "dataset_dir": "sets with a name are fetched into it too, and its `dataset_info.json` is read.",
    "predict_with_generate": "answers are drawn and scored by `tuneglm evaluate`.",
    "template": "the prompt is always the model's own, token for token.",
    "trust_remote_code": "code that comes with weights is never executed.",
    "overwrite_output_dir": "what is finished is never overwritten, and what is not goes on.",
    "overwrite_cache": "encoded rows are kept by what they hold.",
    "plot_loss": "`loss.png` is always drawn.",
    "use_fast_tokenizer": "the tokenizer is always a fast one.",
    "quantization_method": "bits are bitsandbytes' (`model.bits`).",
    "double_quantization": "4 bits are always quantised twice.",
    "quantization_type": "4 bits are nf4.",
    "enable_liger_kernel": "the loss is computed in portions, without its kernels.",
    "use_unsloth": "it is not used.",
    "neat_packing": "packed rows never see each other.",
    "upcast_layernorm": "norms are computed so that they do not overflow.",
    "include_num_input_tokens_seen": "tokens are always counted.",
    "default_system": "write it into the rows, as a message of the system.",
    "tool_format": "the prompt is always the model's own, token for token.",
    "tokenized_path": "encoded rows are kept by themselves (`data.cache`).",
    "do_eval": "a run evaluates where rows are kept for it.",
    "do_train": "",
    "do_predict": "answers are judged by `tuneglm evaluate`.",
    "stage": "",
    "create_new_adapter": "",
    "dataset": "a name is looked up in the `dataset_info.json` of `data.dir`, then among those of "
    "`tuneglm data list`.",
    "eval_dataset": "",
    "max_samples": "",
    "val_size": "other rows are held out than LLaMA-Factory would hold out.",
    "packing": "packed rows never see each other, as with `neat_packing` there.",
    "mask_history": "",
    "warmup_ratio": "written as `training.warmup_steps`, where a number below 1 is a share of all "
    "steps.",
    "disable_gradient_checkpointing": "",
    "resume_from_checkpoint": "a run goes on by itself from its newest checkpoint (`resume`).",
    "pissa_init": "what is saved is plain LoRA of twice the rank.",
}
KEPT = "of the checkpoints the newest two are kept (`training.save_total_limit`)."


def from_llama_factory(given: Mapping[str, Any]) -> Translation:
    """The run that such a file describes; ConfigError for what is not here."""
    given = {name: value for name, value in given.items() if value is not None}
    stage = given.get("stage", "sft")
    if stage != "sft":
        raise ConfigError(
            f"The stage `{stage}` cannot be had: there is supervised tuning alone (sft).",
            "tune on the better answers",
        )
    method = str(given.get("finetuning_type", "lora"))
    if method not in OF_METHOD:
        raise ConfigError(f"There is no method `{method}`.", f"known: {', '.join(OF_METHOD)}")
    full = {**DEFAULTS, "finetuning_type": method, **given}
    settings = _by_table(full, method) | _data(full) | _rest(full, method)
    remarks = tuple(_remarks(given, method))
    return Translation(settings, remarks)


def _by_table(full: Mapping[str, Any], method: str) -> Settings:
    settings: Settings = {}
    for name, value in full.items():
        if _is_of_another(name, method):
            continue
        if name in KEYS:
            settings[KEYS[name]] = value
        elif name in LISTS:
            parts = value.split(",") if isinstance(value, str) else list(value)
            settings[LISTS[name]] = [str(part).strip() for part in parts]
        elif name in trainer_options() and name not in (*REMARKS, "flash_attn"):
            settings[f"training.{name}"] = value
    return settings


def _is_of_another(name: str, method: str) -> bool:
    own = OF_METHOD[method]
    others = [start for starts in OF_METHOD.values() for start in starts if start not in own]
    is_own = name in KEYS or name in LISTS or name == "pissa_init"
    return is_own and any(name.startswith(start) for start in others)


def _data(full: Mapping[str, Any]) -> Settings:
    settings: Settings = {}
    for theirs, ours in (("dataset", "data.train"), ("eval_dataset", "data.evaluation")):
        if not full.get(theirs):
            continue
        named = full[theirs]
        names = named.split(",") if isinstance(named, str) else list(named)
        names = [str(name).strip() for name in names]
        limit = full.get("max_samples")
        entries = [{"name": name, "max_rows": limit} for name in names]
        settings[ours] = names if limit is None else entries
    share = full.get("val_size") or 0
    if share:
        settings["data.evaluation_share" if share < 1 else "data.evaluation_rows"] = (
            share if share < 1 else int(share)
        )
    if full.get("packing") or full.get("neat_packing"):
        settings["data.batching"] = "packed"
    if full.get("mask_history"):
        settings["data.train_on"] = "last"
    return settings


def _rest(full: Mapping[str, Any], method: str) -> Settings:
    settings: Settings = {}
    if full.get("adapter_name_or_path") and not full.get("create_new_adapter"):
        settings["model.continue_last"] = True
    if method == "lora":
        settings.setdefault("method.alpha", full.get("lora_alpha") or 2 * full.get("lora_rank", 8))
        if full.get("pissa_init"):
            settings["method.init"] = "pissa"
    attention = ATTENTION.get(str(full.get("flash_attn", "auto")))
    if attention not in (None, "auto"):
        settings["model.attention"] = attention
    settings["training.warmup_steps"] = full.get("warmup_steps") or full.get("warmup_ratio") or 0
    checkpointed = not full.get("disable_gradient_checkpointing", False)
    settings["training.gradient_checkpointing"] = checkpointed
    resumed = full.get("resume_from_checkpoint")
    if isinstance(resumed, str):
        settings["resume"] = resumed
    return settings


def _remarks(given: Mapping[str, Any], method: str) -> Iterator[str]:
    for name, value in given.items():
        if _is_of_another(name, method):
            yield f"{name}: it is left out, for it is of another finetuning_type than {method}."
        elif name == "flash_attn":
            if str(value) not in ATTENTION:
                yield f"{name}: {value} is not known here; `model.attention` is left as it is."
        elif REMARKS.get(name) and value:
            # of a checkpoint that is named nothing is to be said
            if name != "resume_from_checkpoint" or value is True:
                yield f"{name}: {REMARKS[name]}"
        elif name not in (*REMARKS, *KEYS, *LISTS) and name not in trainer_options():
            yield f"{name}: {value} is not known here, and is left out."
    if "save_steps" in given and "save_total_limit" not in given:
        yield f"save_steps: {KEPT}"
    unsaid = ", ".join(_unsaid(given, method))
    if unsaid:
        yield f"LLaMA-Factory's defaults, for what the file leaves out: {unsaid}."


def _unsaid(given: Mapping[str, Any], method: str) -> Iterator[str]:
    """What the run file has though the file does not say it."""
    for name, value in DEFAULTS.items():
        if name not in given and not _is_of_another(name, method):
            yield f"{name} {value}"
    if method == "lora" and "lora_alpha" not in given:
        yield "lora_alpha twice the rank"
    if not given.keys() & {"warmup_steps", "warmup_ratio"}:
        yield "no warmup"
    if "disable_gradient_checkpointing" not in given:
        yield "gradient checkpointing"
