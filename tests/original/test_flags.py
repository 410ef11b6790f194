"""Every flag of the tables: the run that it makes, or the reason why there is none."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROWS
from tests.published import SHARED
from tuneglm.config import RunConfig, load_config
from tuneglm.data.examples import load_examples
from tuneglm.demo import MODEL_FOLDER
from tuneglm.errors import ConfigError
from tuneglm.original.command import command_line, overrides
from tuneglm.original.finetune import run as finetune
from tuneglm.original.flags import FLAGS
from tuneglm.original.house import House
from tuneglm.original.reading import read_arguments
from tuneglm.original.translation import Translation, job_of, translated
from tuneglm.trainer_options import trainer_options

PEERS = SHARED / "PEERS.md"
HOUSE = House(str(MODEL_FOLDER))
TRAIN = "--do_train --output_dir out"
# what is typed behind TRAIN → a key of the run, and its value
TRAINED: list[tuple[str, str, Any]] = [
    ("", "model.path", str(MODEL_FOLDER)),
    ("--model_name_or_path my/model", "model.path", "my/model"),
    ("--model-name-or-path my/model", "model.path", "my/model"),
    ("--model_revision v1.1", "model.revision", "v1.1"),
    ("--quantization_bit 4", "model.bits", 4),
    ("--quantization_bit=8", "model.bits", 8),
    ("--checkpoint_dir a,b", "model.adapters", ("a", "b")),
    ("--checkpoint_dir a,b", "model.continue_last", True),
    ("--checkpoint_dir a,b --resume_lora_training False", "model.continue_last", False),
    ("--checkpoint_dir a --no_resume_lora_training", "model.continue_last", False),
    ("", "data.train", [("alpaca_zh", None)]),
    ("--dataset a,b,c", "data.train", [("a", None), ("b", None), ("c", None)]),
    ("--dataset a,b --max_samples 5", "data.train", [("a", 5), ("b", 5)]),
    ("--dataset a --max_train_samples 5", "data.train", [("a", 5)]),
    ("--dataset a --max_train_samples 5 --max_eval_samples 2", "data.train", [("a", 5)]),
    ("--dataset_dir rows", "data.dir", "rows"),
    ("--preprocessing_num_workers 3", "data.workers", 3),
    ("", "data.max_source_length", 512),
    ("--max_source_length 64", "data.max_source_length", 64),
    ("--max_target_length 96", "data.max_target_length", 96),
    ("--dev_ratio 0.1 --do_eval", "data.evaluation_share", 0.1),
    ("--group_by_length", "data.batching", "length_grouped"),
    ("--sortish_sampler True", "data.batching", "length_grouped"),
    ("", "method.name", "lora"),
    ("--finetuning_type LoRA", "method.name", "lora"),
    ("--finetuning_type freeze", "method.name", "freeze"),
    ("--finetuning_type ptuning", "method.name", "p_tuning"),
    ("--finetuning_type p_tuning", "method.name", "p_tuning"),
    ("--finetuning_type full", "method.name", "full"),
    ("", "method.rank", 8),
    ("", "method.alpha", 32.0),
    ("", "method.dropout", 0.1),
    ("--lora_rank 16", "method.rank", 16),
    ("--lora_alpha 64", "method.alpha", 64.0),
    ("--lora_dropout 0", "method.dropout", 0.0),
    ("--lora_target query_key_value,dense", "method.targets", ("query_key_value", "dense")),
    ("--finetuning_type freeze", "method.layers", 3),
    ("--finetuning_type freeze --num_layer_trainable -2", "method.layers", -2),
    ("--finetuning_type freeze", "method.modules", ("mlp",)),
    ("--finetuning_type freeze --name_module_trainable qkv", "method.modules", ("qkv",)),
    ("--finetuning_type p_tuning", "method.length", 16),
    ("--finetuning_type p_tuning --pre_seq_len 64", "method.length", 64),
    ("--finetuning_type p_tuning --prefix_projection", "method.projection", True),
    # another method's flags do nothing, as they did
    ("--finetuning_type p_tuning --lora_rank 4", "method.length", 16),
    ("", "training.output_dir", "out"),
    ("", "training.learning_rate", 5e-5),
    ("--learning_rate 1e-4", "training.learning_rate", 1e-4),
    ("", "training.num_train_epochs", 3.0),
    ("--num_train_epochs 1.0", "training.num_train_epochs", 1.0),
    ("", "training.lr_scheduler_type", "linear"),
    ("--lr_scheduler_type cosine", "training.lr_scheduler_type", "cosine"),
    ("--lr_scheduler_type liner", "training.lr_scheduler_type", "linear"),
    ("", "training.warmup_steps", 0),
    ("--warmup_steps 20", "training.warmup_steps", 20),
    ("--warmup_ratio 0.1", "training.warmup_steps", 0.1),
    ("--warmup_ratio 0.1 --warmup_steps 3", "training.warmup_steps", 3),
    ("", "training.gradient_checkpointing", True),
    ("--gradient_checkpointing False", "training.gradient_checkpointing", False),
    ("--fp16", "training.fp16", True),
    ("--no_cuda", "training.use_cpu", True),
    ("--evaluation_strategy steps", "training.eval_strategy", "steps"),
    ("--per_gpu_train_batch_size 3", "training.per_device_train_batch_size", 3),
    ("--per_gpu_eval_batch_size 3", "training.per_device_eval_batch_size", 3),
    ("--adafactor", "training.optim", "adafactor"),
    ("--optim adamw_hf", "training.optim", "adamw_torch"),
    ("--optim adamw_torch", "training.optim", "adamw_torch"),
    ("--report_to none", "training.report_to", "none"),
    ("--report_to wandb tensorboard", "training.report_to", ["wandb", "tensorboard"]),
    ("--per_device_train_batch_size 4", "training.per_device_train_batch_size", 4),
    ("--gradient_accumulation_steps 4", "training.gradient_accumulation_steps", 4),
    ("--logging_steps 10", "training.logging_steps", 10),
    ("--save_steps 1000", "training.save_steps", 1000),
    ("--ddp_find_unused_parameters False", "training.ddp_find_unused_parameters", False),
    ("--deepspeed ds.json", "training.deepspeed", "ds.json"),
    ("--seed 7", "training.seed", 7),
    ("--run_name 7", "training.run_name", "7"),
    ("--max_steps 3", "training.max_steps", 3),
    ("--resume_from_checkpoint out/checkpoint-5", "resume", "out/checkpoint-5"),
    ("--resume_from_checkpoint True", "resume", "auto"),
]
# what is passed over → a word of its remark
NEEDLESS = {
    "--use_fast_tokenizer False": "fast",
    "--use_auth_token": "logged in",
    "--use_v2": "files",
    "--resize_position_embeddings": "rotary",
    "--double_quantization True": "twice",
    "--compute_dtype float16": "device",
    "--overwrite_cache": "hold",
    "--pad_to_max_length": "padding",
    "--top_k 50": "top_p",
    "--overwrite_output_dir": "never overwritten",
    "--remove_unused_columns False": "rows",
    "--half_precision_backend auto": "torch",
    "--fp16_opt_level O1": "torch",
    "--logging_dir logs": "output folder",
    "--save_safetensors False": "always",
    "--past_index -1": "transformers",
}
# what is refused → a word of the reason
REFUSED = {
    "--config_name c": "folder",
    "--tokenizer_name t": "folder",
    "--quantization_type fp4": "nf4",
    "--reward_model r": "reward",
    "--stage rm": "supervised",
    "--stage ppo": "supervised",
    "--split test": "whole",
    "--ignore_pad_token_for_loss False": "padding",
    "--source_prefix Ask:": "prompt",
    "--num_beams 4": "drawn",
    "--eval_num_beams 4": "drawn",
    "--sharded_ddp simple": "fairscale",
    "--push_to_hub": "uploaded",
    "--hub_model_id me/mine": "uploaded",
    "--tpu_num_cores 8": "TPU",
    "--finetuning_type none": "nothing to train",
    "--finetuning_type lorra": "no finetuning_type",
}
HARMLESS = (
    "--quantization_type nf4",
    "--stage sft",
    "--split train",
    "--ignore_pad_token_for_loss True",
    "--num_beams 1",
    "--push_to_hub False",
    "--local_rank 0",
    "--plot_loss",
    "--predict_with_generate",
)


def translation(typed: str, *, has_gpu: bool = True) -> Translation:
    given = read_arguments(typed.split())
    return translated(given, HOUSE, job=job_of(given), has_gpu=has_gpu)


def run_of(typed: str) -> RunConfig:
    return load_config(None, overrides(translation(f"{TRAIN} {typed}").settings))


def value_at(config: RunConfig, key: str) -> Any:
    value: Any = config
    for part in key.split("."):
        value = value[part] if isinstance(value, dict) else getattr(value, part)
    if key == "data.train":
        return [(entry.name, entry.max_rows) for entry in value]
    return value


@pytest.mark.parametrize(("typed", "key", "value"), TRAINED)
def test_what_a_flag_makes_of_the_run(typed: str, key: str, value: Any) -> None:
    assert value_at(run_of(typed), key) == value


@pytest.mark.parametrize(("typed", "word"), NEEDLESS.items())
def test_what_does_nothing_is_said(typed: str, word: str) -> None:
    remarks = translation(f"{TRAIN} {typed}").remarks
    assert len(remarks) == 1 and word in remarks[0]
    assert run_of(typed) == run_of("")


@pytest.mark.parametrize(("typed", "word"), REFUSED.items())
def test_what_is_refused_says_why(typed: str, word: str) -> None:
    with pytest.raises(ConfigError) as error:
        translation(f"{TRAIN} {typed}")
    assert word in error.value.sentence and error.value.hint


@pytest.mark.parametrize("typed", HARMLESS)
def test_what_asks_for_nothing_is_taken(typed: str) -> None:
    assert run_of(typed) == run_of("")
    assert not translation(f"{TRAIN} {typed}").remarks


def test_every_flag_stands_on_both_pages() -> None:
    for language in ("en", "zh"):
        page = Path(__file__).parents[2] / "docs" / language / "original.md"
        text = page.read_text(encoding="utf-8")
        assert [name for name in FLAGS if f"`{name}`" not in text] == []


def test_every_key_of_the_table_is_one_of_a_run() -> None:
    """Each is accepted, with its default or some value."""
    for name, flag in FLAGS.items():
        section, _, key = flag.key.partition(".")
        if section == "training":
            assert key in trainer_options(), name


def test_every_flag_is_in_a_table_of_this_file() -> None:
    typed = " ".join([*(row[0] for row in TRAINED), *NEEDLESS, *REFUSED, *HARMLESS])
    words = {word.partition("=")[0] for word in typed.split() if word.startswith("--")}
    shown = {word.removeprefix("--") for word in words}
    # those of the jobs that train nothing have tests of their own, or repeat what is shown
    elsewhere = {"do_train", "do_eval", "do_predict", "cache_dir", "max_shard_size"}
    elsewhere |= {"do_sample", "temperature", "top_p", "max_length", "max_new_tokens"}
    elsewhere |= {"repetition_penalty", "generation_max_length", "generation_num_beams"}
    reasons = {FLAGS[name].needless or FLAGS[name].refused for name in shown & FLAGS.keys()}
    for name in FLAGS.keys() - shown - elsewhere:
        known = FLAGS[name].needless or FLAGS[name].refused
        assert known, name
        assert known in reasons or FLAGS[name].needless, name


@pytest.mark.skipif(not PEERS.is_file(), reason="the tables are not here")
def test_every_flag_of_every_version_is_known() -> None:
    tables = PEERS.read_text(encoding="utf-8").split("### Arguments")[1].split("### Behaviours")[0]
    names = re.findall(r"^\| `(\w+)` \|", tables, re.M)
    assert len(names) > 40
    assert [name for name in names if name not in FLAGS and name not in trainer_options()] == []


def test_float16_without_a_gpu_is_said_and_passed_over() -> None:
    found = translation(f"{TRAIN} --fp16", has_gpu=False)
    assert "training.fp16" not in found.settings
    assert "no GPU" in found.remarks[0]


def test_all_training_arguments_are_known() -> None:
    for name in trainer_options():
        assert read_arguments([f"--{name}", "true" if name not in FLAGS else "1"]) is not None


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("--do_trian", "`--do_train`"),
        ("--per_device_train_batchsize 4", "`--per_device_train_batch_size`"),
        ("--pre_seq_length 4", "`--pre_seq_len`"),
        ("--int8", "--quantization_bit 8"),
        ("--fp16 8", "--quantization_bit 8"),
        ("--max_samples", "VALUE"),
        ("--do_train x", "write --do_train"),
        ("--learning_rate 1e-4 5", "backslash"),
        ("stray", "--name value"),
    ],
)
def test_a_slip_is_told_what_is_meant(typed: str, hint: str) -> None:
    with pytest.raises(ConfigError) as error:
        read_arguments(typed.split())
    assert hint in (error.value.hint or "")


def test_a_file_of_arguments_is_the_same(tmp_path: Path) -> None:
    file = tmp_path / "arguments.json"
    content = {"do_train": True, "output_dir": "out", "learning_rate": "1e-4", "dataset": "a,b"}
    file.write_text(json.dumps(content), encoding="utf-8")
    typed = "--do_train --output_dir out --learning_rate 1e-4 --dataset a,b"
    assert read_arguments([str(file)]) == read_arguments(typed.split())


@pytest.mark.parametrize(
    ("typed", "word"),
    [
        ("--output_dir out", "Nothing is asked"),
        ("--do_train --do_predict --output_dir out", "at once"),
        ("--do_train", "`--output_dir` is missing"),
    ],
)
def test_which_job(typed: str, word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        finetune(typed.split(), HOUSE)


def test_the_command_that_is_printed_reads_back(tmp_path: Path) -> None:
    typed = "--dataset a,b --max_samples 2 --lora_target query_key_value --report_to wandb x"
    settings = translation(f"{TRAIN} {typed}").settings
    assert load_config(None, overrides(settings)) == run_of(typed)
    assert command_line(["train", "data.train=[1, 2]"]) == "tuneglm train 'data.train=[1, 2]'"


def test_the_registry_of_config_py_becomes_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine.json").write_text(json.dumps(ROWS), encoding="utf-8")
    house = House(str(MODEL_FOLDER), {"mine": {"filename": "mine.json"}})
    given = read_arguments([*TRAIN.split(), "--dataset", "mine"])
    settings = translated(given, house, job="train", has_gpu=False).settings
    config = load_config(None, overrides(settings))
    (found,) = load_examples(config.data).train
    assert (found.name, found.file) == ("mine", Path("data") / "mine.json")
    # a name that it does not have is the registry's
    given = read_arguments([*TRAIN.split(), "--dataset", "alpaca_zh"])
    assert "data.registry" not in translated(given, house, job="train", has_gpu=False).settings
