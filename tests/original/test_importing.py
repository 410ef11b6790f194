"""Other tools' arguments and files as run files."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.original.clone import ROOT
from tuneglm.cli import main
from tuneglm.config import RunConfig, load_config
from tuneglm.errors import ConfigError
from tuneglm.original.importing import imported, run_file_of
from tuneglm.original.llama_factory import DEFAULTS

OFFICIAL = """\
PRE_SEQ_LEN=128
LR=2e-2
NUM_GPUS=1

torchrun --standalone --nnodes=1 --nproc-per-node=$NUM_GPUS main.py \\
    --do_train \\
    --train_file AdvertiseGen/train.json \\
    --validation_file AdvertiseGen/dev.json \\
    --preprocessing_num_workers 10 \\
    --prompt_column content \\
    --response_column summary \\
    --overwrite_cache \\
    --model_name_or_path my/chatglm2-6b \\
    --output_dir output/adgen-$PRE_SEQ_LEN-$LR \\
    --max_source_length 64 \\
    --max_target_length 96 \\
    --max_steps 3000 \\
    --learning_rate $LR \\
    --pre_seq_len ${PRE_SEQ_LEN} \\
    --quantization_bit 4
"""
THEIRS: dict[str, tuple[Any, str, Any]] = {
    # a key → (its value, our key, its value)
    "finetuning_type": ("lora", "method.name", "lora"),
    "lora_rank": (16, "method.rank", 16),
    "lora_alpha": (64, "method.alpha", 64.0),
    "lora_target": ("q_proj,v_proj", "method.targets", ("q_proj", "v_proj")),
    "use_dora": (True, "method.dora", True),
    "pissa_init": (True, "method.init", "pissa"),
    "loraplus_lr_ratio": (16.0, "method.lora_plus", 16.0),
    "cutoff_len": (1024, "data.cutoff", 1024),
    "val_size": (0.1, "data.evaluation_share", 0.1),
    "packing": (True, "data.batching", "packed"),
    "mask_history": (True, "data.train_on", "last"),
    "quantization_bit": (4, "model.bits", 4),
    "flash_attn": ("fa2", "model.attention", "flash_attention_2"),
    "learning_rate": (1e-4, "training.learning_rate", 1e-4),
    "warmup_ratio": (0.1, "training.warmup_steps", 0.1),
    "disable_gradient_checkpointing": (True, "training.gradient_checkpointing", False),
    "deepspeed": ("ds.json", "training.deepspeed", "ds.json"),
    "adapter_name_or_path": ("a,b", "model.adapters", ("a", "b")),
}


def run_of(words: list[str], folder: Path) -> tuple[RunConfig, str]:
    text = run_file_of(imported(words))
    (folder / "run.yaml").write_text(text, encoding="utf-8")
    return load_config(folder / "run.yaml"), text


def value_at(config: RunConfig, key: str) -> Any:
    value: Any = config
    for part in key.split("."):
        value = value[part] if isinstance(value, dict) else getattr(value, part)
    return value


def test_the_official_script(tmp_path: Path) -> None:
    script = tmp_path / "train.sh"
    script.write_text(OFFICIAL, encoding="utf-8")
    config, text = run_of([str(script)], tmp_path)
    assert (config.method.name, getattr(config.method, "length", 0)) == ("p_tuning", 128)
    (entry,) = config.data.train
    assert entry.path == "AdvertiseGen/train.json"
    assert entry.columns == {"instruction": "content", "output": "summary"}
    assert config.data.evaluation[0].path == "AdvertiseGen/dev.json"
    assert (config.data.max_source_length, config.data.max_target_length) == (64, 96)
    assert config.model.bits == 4 and config.training["learning_rate"] == 0.02
    assert config.training["output_dir"] == "output/adgen-128-2e-2"
    assert "# `--overwrite_cache` is passed over" in text and "padded" in text


def test_without_a_prefix_all_weights_are_trained(tmp_path: Path) -> None:
    words = "main.py --do_train --train_file a.json --prompt_column q --output_dir out"
    config, _ = run_of(words.split(), tmp_path)
    assert config.method.name == "full" and config.data.train[0].path == "./a.json"


def test_every_key_of_llama_factory(tmp_path: Path) -> None:
    lines = [f"{key}: {value}" for key, (value, _, _) in THEIRS.items()]
    file = tmp_path / "theirs.yaml"
    head = "model_name_or_path: m\ndataset: a,b\nmax_samples: 9\ntemplate: glm4\nstrange: 1\n"
    file.write_text(head + "\n".join(lines), encoding="utf-8")
    config, text = run_of([str(file)], tmp_path)
    for _, key, value in THEIRS.values():
        assert value_at(config, key) == value, key
    assert [(entry.name, entry.max_rows) for entry in config.data.train] == [("a", 9), ("b", 9)]
    assert config.model.continue_last
    assert "# template: the prompt is always the model's own" in text
    assert "# strange: 1 is not known here" in text


# a line of theirs → what is said of it; nothing where it means the same
SAID = {
    "cutoff_len: 512": "oldest turns first",
    "preprocessing_num_workers: 8": "large sets",
    "dataset_dir: d": "fetched into it",
    "dataset: a": "tuneglm data list",
    "val_size: 0.1": "other rows are held out than LLaMA-Factory",
    "warmup_ratio: 0.1": "below 1 is a share of all steps",
    "packing: true": "never see each other",
    "pissa_init: true": "twice the rank",
    "flash_attn: fa3": "fa3 is not known here",
    "resume_from_checkpoint: true": "`resume`",
    "save_steps: 5": "training.save_total_limit",
    "predict_with_generate: true": "tuneglm evaluate",
    "freeze_trainable_layers: 2": "another finetuning_type than lora",
    "strange: 1": "left out",
    "flash_attn: fa2": "",
    "packing: false": "",
    "lora_rank: 4": "",
    "mask_history: true": "",
    "bf16: true": "",
    # a key without a value says nothing
    "flash_attn:": "",
    "save_steps:": "",
    "val_size:": "",
    "freeze_trainable_layers:": "",
    "strange:": "",
    "resume_from_checkpoint: out/checkpoint-3": "",
}


@pytest.mark.parametrize(("line", "said"), SAID.items())
def test_what_differs_from_llama_factory_is_said(line: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "theirs.yaml"
    file.write_text(f"model_name_or_path: m\ntemplate: glm4\n{line}\n", encoding="utf-8")
    name = line.partition(":")[0]
    remarks = [each for each in imported([str(file)]).remarks if each.startswith(f"{name}:")]
    assert len(remarks) == bool(said)
    assert all(said in each for each in remarks)


def test_what_the_file_leaves_out_is_said(tmp_path: Path) -> None:
    file = tmp_path / "theirs.yaml"
    text = "model_name_or_path: m\nlearning_rate: 0.1\ncutoff_len:\n"
    file.write_text(text, encoding="utf-8")
    found = imported([str(file)])
    (said,) = (each for each in found.remarks if "LLaMA-Factory's defaults" in each)
    assert "lora_target all, cutoff_len 2048, num_train_epochs 3.0" in said
    assert "lora_alpha twice the rank, no warmup" in said and "learning_rate" not in said
    assert found.settings["data.cutoff"] == 2048


def test_of_a_file_that_says_everything_nothing_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "theirs.yaml"
    values = {name: value for name, value in DEFAULTS.items() if "freeze" not in name}
    values |= {"lora_alpha": 16, "warmup_steps": 0, "disable_gradient_checkpointing": True}
    text = yaml.safe_dump({"model_name_or_path": "m", **values})
    file.write_text(text, encoding="utf-8")
    assert not [each for each in imported([str(file)]).remarks if "defaults" in each]
    file.write_text(text.replace("lora_alpha", "# lora_alpha"), encoding="utf-8")
    assert imported([str(file)]).remarks[-1].endswith(": lora_alpha twice the rank.")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--history_column h", "data.train_on=last"),
        ("--quantization_bit 4", "nf4"),
        ("--predict_with_generate", "tuneglm evaluate OUT"),
        ("--preprocessing_num_workers 9", "large sets"),
        ("--save_steps 9", "training.save_total_limit"),
        ("--save_steps 9 --save_total_limit 3", ""),
        ("--val_max_target_length 9", "left out"),
        ("--max_predict_samples 9", "--rows"),
        ("--lang zh", "left out"),
        ("--test_file t.json", "--data t.json"),
        ("--logging_steps 9", ""),
    ],
)
def test_what_differs_from_the_official_script_is_said(words: str, said: str) -> None:
    typed = f"main.py --do_train --train_file a.json --output_dir out --pre_seq_len 8 {words}"
    name = words.split()[0].removeprefix("--")
    remarks = [each for each in imported(typed.split()).remarks if each.startswith(f"{name}:")]
    assert len(remarks) == bool(said)
    assert all(said in each for each in remarks)


def test_defaults_of_llama_factory(tmp_path: Path) -> None:
    file = tmp_path / "theirs.yaml"
    file.write_text("model_name_or_path: m\ndataset: a\nlora_rank: 4\n", encoding="utf-8")
    config, _ = run_of([str(file)], tmp_path)
    assert getattr(config.method, "targets", ()) == ("all",)
    assert getattr(config.method, "alpha", 0) == 8
    assert config.data.cutoff == 2048 and config.training["learning_rate"] == 5e-5
    file.write_text("model_name_or_path: m\nfinetuning_type: freeze\n", encoding="utf-8")
    config, _ = run_of([str(file)], tmp_path)
    assert getattr(config.method, "layers", 0) == 2


@pytest.mark.parametrize("name", ["finetune", "multi_gpu", "quantized", "identity"])
def test_our_own_examples(name: str, tmp_path: Path) -> None:
    config, _ = run_of([str(ROOT / "examples" / f"{name}.sh")], tmp_path)
    assert config.method.name == "lora" and config.training["fp16"] is True


@pytest.mark.parametrize(
    ("words", "word"),
    [
        ("nothing.yaml", "no file"),
        ("python src/finetune.py", "no arguments"),
        ("--do_train --datasett a", "no argument"),
    ],
)
def test_what_is_none(words: str, word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        imported(words.split())


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("model_name_or_path: m\nstage: dpo\n", "stage `dpo`"),
        ("model_name_or_path: m\nfinetuning_type: oft\n", "no method `oft`"),
        ("model: {path: m}\n", "run file already"),
        ("a: 1\n", "no file of LLaMA-Factory"),
    ],
)
def test_files_that_cannot_be_had(text: str, word: str, tmp_path: Path) -> None:
    file = tmp_path / "theirs.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=word):
        imported([str(file)])


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    words = "import-config CUDA_VISIBLE_DEVICES=0 python src/finetune.py --do_train --output_dir o"
    with pytest.raises(SystemExit) as left:
        main(words.split())
    assert left.value.code == 0
    assert "output_dir: o" in capsys.readouterr().out
    with pytest.raises(SystemExit) as left:
        main(["import-config", "--help"])
    assert left.value.code == 0
    assert "LLaMA-Factory" in capsys.readouterr().out
