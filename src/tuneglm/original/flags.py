"""THE table: what became of each flag of ChatGLM-Efficient-Tuning, April 2023 to v0.1.5.

Flags that are not here and that transformers.TrainingArguments has are handed on: `--x` is
`training.x`. Those that it had in 2023 and has no more are here.
"""

from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["text", "switch", "value"]


@dataclass(frozen=True)
class Flag:
    """One flag.

    kind      text as it is typed, a switch, or a number (or whatever else YAML reads)
    key       the key of a run that takes its value as it is; "": translation.py reads it
    default   what it was where nobody gave it
    method    the method that it belongs to; "": to all
    needless  why it does nothing here
    refused   (what is wrong with it, what to do), unless it has one of the values in `harmless`
    """

    kind: Kind = "text"
    key: str = ""
    default: Any = None
    method: str = ""
    needless: str = ""
    refused: tuple[str, str] | None = None
    harmless: tuple[Any, ...] = ()


_ALWAYS = "it is always so"
_NO_HUB = ("a run is never uploaded by itself", "upload the result: hf upload OWNER/NAME FOLDER")
_DRAWN = ("answers are drawn, not searched for by beams", "leave it out")

FLAGS: dict[str, Flag] = {
    # the model
    "model_name_or_path": Flag(key="model.path"),
    "model_revision": Flag(key="model.revision"),
    "quantization_bit": Flag("value", key="model.bits"),
    "checkpoint_dir": Flag(),
    "resume_lora_training": Flag("switch", default=True),
    "cache_dir": Flag(),
    "config_name": Flag(
        refused=("a model's configuration lies in its folder", "give that folder as the model")
    ),
    "tokenizer_name": Flag(
        refused=("a model's tokenizer lies in its folder", "give that folder as the model")
    ),
    "use_fast_tokenizer": Flag("switch", needless="the tokenizer is always a fast one"),
    "use_auth_token": Flag("switch", needless="who is logged in (hf auth login, HF_TOKEN) is"),
    "use_v2": Flag("switch", needless="a model's generation is seen by its files"),
    "resize_position_embeddings": Flag("switch", needless="positions are rotary, and need no room"),
    "quantization_type": Flag(
        refused=("4 bits are always nf4 here, which is the more exact", "leave it out"),
        harmless=("nf4",),
    ),
    "double_quantization": Flag(
        "switch", needless="4 bits are always quantised twice, which costs nothing"
    ),
    "compute_dtype": Flag(needless="it is chosen by what the device can do"),
    "reward_model": Flag(
        refused=("there is no training by a reward model here", "tune on the better answers")
    ),
    "plot_loss": Flag("switch", default=False),
    # the data
    "dataset": Flag(default="alpaca_zh"),
    "dataset_dir": Flag(default="data"),
    "split": Flag(
        refused=("sets are read whole", "name the file of that split, or give its path"),
        harmless=("train",),
    ),
    "overwrite_cache": Flag("switch", needless="encoded rows are kept by what they hold"),
    "preprocessing_num_workers": Flag("value", key="data.workers"),
    "max_source_length": Flag("value", key="data.max_source_length", default=512),
    "max_target_length": Flag("value", key="data.max_target_length", default=512),
    "pad_to_max_length": Flag("switch", needless="what is learnt is the same without padding"),
    "max_samples": Flag("value"),
    "max_train_samples": Flag("value"),
    "max_eval_samples": Flag("value"),
    "dev_ratio": Flag("value", key="data.evaluation_share"),
    "ignore_pad_token_for_loss": Flag(
        "switch",
        refused=("padding has nothing to teach, and is never trained", "leave it out"),
        harmless=(True,),
    ),
    "source_prefix": Flag(
        refused=(
            "the model is trained on the very prompt that chat sends, which has no such prefix",
            "write it into the rows: column `system`, or before each instruction",
        ),
        harmless=("",),
    ),
    # the method
    "stage": Flag(
        refused=("of the stages there is supervised tuning alone (sft)", "tune on the answers"),
        harmless=("sft",),
    ),
    "finetuning_type": Flag(default="lora"),
    "num_layer_trainable": Flag("value", key="method.layers", default=3, method="freeze"),
    "name_module_trainable": Flag(key="method.modules", default="mlp", method="freeze"),
    "pre_seq_len": Flag("value", key="method.length", default=16, method="p_tuning"),
    "prefix_projection": Flag("switch", key="method.projection", default=False, method="p_tuning"),
    "lora_rank": Flag("value", key="method.rank", default=8, method="lora"),
    "lora_alpha": Flag("value", key="method.alpha", default=32.0, method="lora"),
    "lora_dropout": Flag("value", key="method.dropout", default=0.1, method="lora"),
    "lora_target": Flag(key="method.targets", method="lora"),
    # how answers are drawn
    "predict_with_generate": Flag("switch", default=False),
    "do_sample": Flag("switch", default=True),
    "temperature": Flag("value", default=0.95),
    "top_p": Flag("value", default=0.7),
    "max_length": Flag("value"),
    "max_new_tokens": Flag("value"),
    "repetition_penalty": Flag("value", default=1.0),
    "top_k": Flag("value", needless="answers are drawn by top_p, from all tokens"),
    "num_beams": Flag("value", refused=_DRAWN, harmless=(1,)),
    "eval_num_beams": Flag("value", refused=_DRAWN, harmless=(1,)),
    "generation_num_beams": Flag("value", refused=_DRAWN, harmless=(1,)),
    "generation_max_length": Flag("value"),
    "generation_config": Flag(needless="an answer ends where the model's family ends it"),
    "sortish_sampler": Flag("switch"),
    # TrainingArguments that translation.py reads
    "do_train": Flag("switch", default=False),
    "do_eval": Flag("switch", default=False),
    "do_predict": Flag("switch", default=False),
    "fp16": Flag("switch"),
    "resume_from_checkpoint": Flag(),
    "lr_scheduler_type": Flag(default="linear"),
    "learning_rate": Flag("value", key="training.learning_rate", default=5e-5),
    "num_train_epochs": Flag("value", key="training.num_train_epochs", default=3.0),
    "gradient_checkpointing": Flag("switch", key="training.gradient_checkpointing", default=True),
    "warmup_ratio": Flag("value"),
    "warmup_steps": Flag("value", key="training.warmup_steps", default=0),
    "group_by_length": Flag("switch"),
    "report_to": Flag(key="training.report_to"),
    # TrainingArguments of other names today
    "evaluation_strategy": Flag(key="training.eval_strategy"),
    "per_gpu_train_batch_size": Flag("value", key="training.per_device_train_batch_size"),
    "per_gpu_eval_batch_size": Flag("value", key="training.per_device_eval_batch_size"),
    "no_cuda": Flag("switch", key="training.use_cpu"),
    "adafactor": Flag("switch"),
    # and those that went
    "overwrite_output_dir": Flag(
        "switch", needless="what is finished is never overwritten, and what is not goes on"
    ),
    "save_safetensors": Flag("switch", needless=_ALWAYS),
    "remove_unused_columns": Flag("switch", needless="rows hold what is needed, and no more"),
    "prediction_loss_only": Flag("switch", needless=_ALWAYS),
    "include_inputs_for_metrics": Flag("switch", needless="scores are of texts"),
    "include_num_input_tokens_seen": Flag("switch", needless=_ALWAYS),
    "disable_tqdm": Flag("switch", needless="progress is one line"),
    "logging_dir": Flag(needless="the log is in the output folder"),
    "fp16_opt_level": Flag(needless="float16 is torch's own"),
    "fp16_backend": Flag(needless="float16 is torch's own"),
    "half_precision_backend": Flag(needless="float16 is torch's own"),
    "local_rank": Flag("value"),
    "jit_mode_eval": Flag("switch", needless="it is not in transformers any more"),
    "use_ipex": Flag("switch", needless="it is not in transformers any more"),
    "use_mps_device": Flag("switch", needless="an Apple GPU is found by itself"),
    "xpu_backend": Flag(needless="it is not in transformers any more"),
    "tpu_num_cores": Flag(refused=("no TPU is known here", "take a GPU or the processor")),
    "tpu_metrics_debug": Flag(refused=("no TPU is known here", "take a GPU or the processor")),
    "past_index": Flag("value", needless="it is not in transformers any more", harmless=(-1,)),
    "mp_parameters": Flag(needless="it is not in transformers any more"),
    "ray_scope": Flag(needless="it is not in transformers any more"),
    "torchdynamo": Flag(needless="training.torch_compile is its name today"),
    "sharded_ddp": Flag(refused=("fairscale is no more", "take training.fsdp or --deepspeed")),
    "fsdp_min_num_params": Flag(needless="layers are shared out one by one"),
    "fsdp_transformer_layer_cls_to_wrap": Flag(needless="each model knows its own layers"),
    "dispatch_batches": Flag(needless="each process reads its own"),
    "split_batches": Flag(needless="each process reads its own"),
    "length_column_name": Flag(needless="lengths are counted"),
    "label_names": Flag(needless="labels are made from the rows"),
    "include_tokens_per_second": Flag("switch", needless=_ALWAYS),
    **dict.fromkeys(
        ("push_to_hub", "hub_private_repo", "hub_always_push"),
        Flag("switch", refused=_NO_HUB, harmless=(False,)),
    ),
    **dict.fromkeys(
        ("push_to_hub_model_id", "push_to_hub_organization", "push_to_hub_token"),
        Flag(refused=_NO_HUB),
    ),
    **dict.fromkeys(
        ("hub_model_id", "hub_strategy", "hub_token", "hub_revision"), Flag(refused=_NO_HUB)
    ),
    # exporting
    "max_shard_size": Flag(),
}
# what the guide says with other words → what it means
FINETUNING_TYPES = {
    "lora": "lora",
    "freeze": "freeze",
    "p_tuning": "p_tuning",
    "ptuning": "p_tuning",
    "ptuning_v2": "p_tuning",
    "full": "full",
    "none": "none",
}
SCHEDULERS = {"liner": "linear"}
OPTIMIZERS = {"adamw_hf": "adamw_torch"}
# flags that take several words
SEVERAL = ("report_to", "lora_target", "dataset", "debug", "label_names")
# words of the guide's text that look like flags → the flag
MEANT = {
    **dict.fromkeys(("fp8", "int8", "8bit", "load_in_8bit"), "--quantization_bit 8"),
    **dict.fromkeys(("fp4", "int4", "4bit", "load_in_4bit"), "--quantization_bit 4"),
    "prompt_template": "nothing: a model's own prompt is taken",
}
