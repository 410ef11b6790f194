"""What each job leaves, and the scripts that come with it."""

import json
import shutil
from pathlib import Path

import pytest

from tests.conftest import ROWS, Configure
from tests.original.clone import ROOT, called
from tuneglm.config import load_config
from tuneglm.demo import MODEL_FOLDER
from tuneglm.errors import ConfigError, UserError
from tuneglm.original.finetune import run as finetune
from tuneglm.original.house import House
from tuneglm.training import train

HOUSE = House(str(MODEL_FOLDER))
MODEL = ["--model_name_or_path", str(MODEL_FOLDER)]


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with data as `dataset_info.json` names it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine.json").write_text(json.dumps(ROWS), encoding="utf-8")
    info = {"mine": {"file_name": "mine.json"}, "too": {"file_name": "mine.json"}}
    (tmp_path / "data" / "dataset_info.json").write_text(json.dumps(info), encoding="utf-8")
    return tmp_path


def read(path: Path) -> dict[str, float]:
    content = json.loads(path.read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


def test_training_leaves_its_files(work: Path) -> None:
    words = "--do_train --dataset mine,too --output_dir out --max_steps 2 --plot_loss --fp16"
    assert finetune([*words.split(), "--logging-steps", "1"], HOUSE) == 0
    out = work / "out"
    assert read(out / "train_results.json")["train_loss"] > 0
    assert read(out / "train_results.json") == read(out / "all_results.json")
    state = json.loads((out / "trainer_state.json").read_text(encoding="utf-8"))
    assert state["global_step"] == 2 and "loss" in state["log_history"][0]
    assert read(out / "finetuning_args.json")["finetuning_type"] == "lora"
    assert (out / "trainer_state.png").is_file()


def test_evaluation_and_prediction(work: Path, configure: Configure) -> None:
    train(configure(work / "out", "training.max_steps=1"))
    words = "--dataset mine --checkpoint_dir out --max_samples 3 --max_target_length 8"
    assert finetune(["--do_eval", *words.split(), "--output_dir", "judged"], HOUSE) == 0
    assert set(read(work / "judged" / "eval_results.json")) == {
        "eval_loss",
        "eval_runtime",
        "eval_samples_per_second",
    }
    assert not (work / "judged" / "generated_predictions.txt").exists()

    predict = ["--do_predict", *words.split(), "--output_dir", "judged", "--do_sample", "False"]
    assert finetune(predict, HOUSE) == 0
    lines = (work / "judged" / "generated_predictions.txt").read_text("utf-8").splitlines()
    assert [set(json.loads(line)) for line in lines] == [{"label", "predict"}] * 3
    found = read(work / "judged" / "predict_results.json")
    assert {"predict_bleu-4", "predict_rouge-1", "predict_rouge-2", "predict_rouge-l"} <= set(found)
    every = read(work / "judged" / "all_results.json")
    assert {"eval_loss", "predict_loss"} <= set(every)
    # the loss is of the same rows by the same model
    assert every["eval_loss"] == pytest.approx(every["predict_loss"])


def test_a_training_that_evaluates(work: Path) -> None:
    words = "--do_train --do_eval --dev_ratio 0.25 --dataset mine --output_dir out --max_steps 2"
    assert finetune(words.split(), HOUSE) == 0
    assert "eval_loss" in (work / "out" / "log.jsonl").read_text(encoding="utf-8")


def test_todays_settings_among_the_arguments(work: Path) -> None:
    words = "--do_train --dataset mine --fp16 data.train_on=last --output_dir out --max_steps 1"
    assert finetune([*words.split(), "training.num_train_epochs=2"], HOUSE) == 0
    config = load_config(work / "out" / "run.yaml")
    assert config.data.train_on == "last" and config.training["num_train_epochs"] == 2


def test_a_finished_folder_and_a_missing_set(work: Path) -> None:
    words = ["--do_train", "--dataset", "mine", "--output_dir", "out", "--max_steps", "1"]
    assert finetune(words, HOUSE) == 0
    with pytest.raises(UserError, match="finished run"):
        finetune([*words, "--overwrite_output_dir"], HOUSE)
    with pytest.raises(UserError, match="no data set `mien`"):
        finetune(["--do_train", "--dataset", "mien", "--output_dir", "other"], HOUSE)
    with pytest.raises(UserError, match="no checkpoint `nix`"):
        finetune(
            ["--do_eval", "--dataset", "mine", "--checkpoint_dir", "nix", "--output_dir", "x"],
            HOUSE,
        )
    with pytest.raises(ConfigError, match="answers"):
        finetune(["--do_predict", "--predict_with_generate", "False", "--output_dir", "x"], HOUSE)


def test_what_the_scripts_say(tmp_path: Path) -> None:
    """Help, and a slip: one sentence, no traceback."""
    done = called(["python", str(ROOT / "src" / "finetune.py"), "--help"], tmp_path, tmp_path)
    assert done.returncode == 0 and "--do_train" in done.stdout
    done = called(["python", str(ROOT / "src" / "infer.py"), "--chekpoint_dir"], tmp_path, tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("Error: ") and "`--checkpoint_dir`" in done.stderr


SMALL = "--dataset mine --max_steps 1 --per_device_train_batch_size 1 --save_strategy no"


@pytest.mark.parametrize("name", ["finetune", "quantized", "multi_gpu"])
def test_an_example_runs(name: str, work: Path) -> None:
    script = str(ROOT / "examples" / f"{name}.sh")
    done = called(["sh", script, *MODEL, *SMALL.split()], work, work)
    assert done.returncode == 0, done.stdout + done.stderr
    (result,) = (work / "output").iterdir()
    assert (result / "adapter_model.safetensors").is_file()
    if name == "finetune":
        done = called(["sh", str(ROOT / "examples" / "infer.sh")], work, work, "你好\nstop\n")
        assert done.returncode == 0, done.stderr
        assert len(done.stdout.split("clear: begin anew")[1].splitlines()) == 2, done.stdout


def test_the_example_of_identity(work: Path) -> None:
    script = str(ROOT / "examples" / "identity.sh")
    shutil.rmtree(work / "data")
    small = SMALL.replace("--dataset mine", "--gradient_accumulation_steps 1").split()
    done = called(["sh", script, "星河", "北斗实验室", *MODEL, *small], work, work)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "星河" in (work / "data" / "identity.json").read_text(encoding="utf-8")
    assert (work / "output" / "identity" / "adapter_model.safetensors").is_file()
    done = called(["sh", script], work, work)
    assert done.returncode != 0 and "a name" in done.stderr
