"""A run file and overrides → a config, or the sentence that says what is wrong."""

from pathlib import Path

import pytest

from tuneglm.config import dump_config, load_config
from tuneglm.errors import ConfigError

MODEL = "model.path=somewhere"


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("max_steps=abc", "`training.max_steps` should be a whole number, not `abc`."),
        ("max_steps=1.5", "`training.max_steps` should be a whole number, not `1.5`."),
        ("max_steps=0", "`training.max_steps` should be above 0, or -1"),
        ("max_steps=-5", "`training.max_steps` should be above 0, or -1"),
        ("num_train_epochs=0", "`training.num_train_epochs` should be above 0, not `0`."),
        ("num_train_epochs=true", "`training.num_train_epochs` should be a number, not `true`."),
        ("learning_rate=abc", "`training.learning_rate` should be a number, not `abc`."),
        ("learning_rate=-1", "`training.learning_rate` should be 0 or more, not `-1`."),
        ("learning_rate=.nan", "`training.learning_rate` should be 0 or more, not `.nan`."),
        ("per_device_train_batch_size=0", "`training.per_device_train_batch_size` should be above"),
        ("gradient_accumulation_steps=0", "`training.gradient_accumulation_steps` should be above"),
        ("bf16=maybe", "`training.bf16` should be true or false, not `maybe`."),
        ("seed=abc", "`training.seed` should be a whole number, not `abc`."),
        ("seed=-1", "`training.seed` should be between 0 and"),
        ("dataloader_num_workers=abc", "`training.dataloader_num_workers` should be a whole"),
        ("output_dir=2024", "`training.output_dir` should be text, not `2024`."),
        ("lr_scheduler_kwargs=3", "`training.lr_scheduler_kwargs` should be a section or text"),
        ("label_names=a", "`training.label_names` should be a list, not `a`."),
        ("label_smoothing_factor=1", "`training.label_smoothing_factor` should be at least 0"),
    ],
)
def test_a_value_that_training_cannot_have(setting: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(None, [MODEL, f"training.{setting}"])
    assert caught.value.sentence.startswith(sentence)


def test_values_that_training_can_have() -> None:
    settings = ["max_steps=-1", "learning_rate=1e-4", "num_train_epochs=2", "warmup_steps=0.03"]
    settings += ["report_to=[wandb]", "tf32=null", "lr_scheduler_kwargs={min_lr: 1e-6}"]
    config = load_config(None, [MODEL, *(f"training.{setting}" for setting in settings)])
    assert config.training["learning_rate"] == 1e-4
    assert "output_dir: '2024'" in dump_config(
        load_config(None, [MODEL, "training.output_dir='2024'"])
    )


def test_a_section_with_nothing_in_it_is_as_if_left_out(tmp_path: Path) -> None:
    run_file = tmp_path / "run.yaml"
    run_file.write_text("model:\n  path: somewhere\ndata:\ntraining:\nmethod:\n")
    assert load_config(run_file).training == {}
    assert load_config(run_file, ["training.max_steps=3"]).training == {"max_steps": 3}
    run_file.write_text("model:\n  path: somewhere\ntrainign:\n")
    with pytest.raises(ConfigError, match="no option `trainign`"):
        load_config(run_file)


def test_a_model_that_is_only_named() -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(None, ["model=somewhere"])
    assert caught.value.hint == "write model.path=somewhere"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "model:\n  path: x\n data: {}\n",
            "line 3, `data: {}`, it does not fit to the lines",
        ),
        ("model: {path: x\ndata: {}\n", "line 2, `data: {}`, a bracket before it is not closed"),
        ("model:\n\tpath: x\n", "line 2, `path: x`, a tab stands there"),
        ("model:\n  path: C: x\n", "line 2, `path: C: x`, a colon stands where none can be"),
        ("model:\n  path: @x\n", "line 2, `path: @x`, a value begins there with a sign"),
        ("model:\n  path: 'x\n", "at its end, a quote before it is not closed"),
        ("model: {path: x}}\n", "line 1, `model: {path: x}}`, more stands there than one value"),
    ],
)
def test_a_run_file_that_is_no_yaml(text: str, told: str, tmp_path: Path) -> None:
    """The line and what is wrong with it; none of the parser's own words."""
    run_file = tmp_path / "run.yaml"
    run_file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(run_file)
    assert told in str(caught.value)
    assert caught.value.hint


def test_a_run_file_that_is_not_in_utf_8(tmp_path: Path) -> None:
    run_file = tmp_path / "run.yaml"
    run_file.write_bytes("model:\n  path: 模型\n".encode("gbk"))
    with pytest.raises(ConfigError, match="is not in UTF-8"):
        load_config(run_file)


def test_a_key_that_stands_twice(tmp_path: Path) -> None:
    run_file = tmp_path / "run.yaml"
    run_file.write_text("model: {path: a}\ntraining:\n  seed: 1\n  seed: 2\n")
    with pytest.raises(ConfigError, match="the key `seed` stands twice"):
        load_config(run_file)


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("learning_rate", "did you mean `training.learning_rate`?"),
        ("rank", "did you mean `method.rank`?"),
        ("dropout", "did you mean `method.dropout`?"),
        ("cutoff", "did you mean `data.cutoff`?"),
        ("bits", "did you mean `model.bits`?"),
        ("seed", "did you mean `training.seed` or `data.train[].seed`?"),
    ],
)
def test_a_key_without_its_section_is_answered_with_it(key: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=f"no option `{key}`") as refused:
        load_config(None, ["model.path=m", f"{key}=1"])
    assert refused.value.hint == hint


def test_an_option_that_is_like_none_is_not_answered_with_a_hundred_names() -> None:
    with pytest.raises(ConfigError, match=r"no option `training\.qqqq`") as refused:
        load_config(None, ["model.path=m", "training.qqqq=1"])
    assert len(str(refused.value.hint)) < 100


@pytest.mark.parametrize(
    ("setting", "sentence", "hint"),
    [
        ("data.batching=pack", "`data.batching` cannot be `pack`.", "did you mean `packed`? known"),
        ("data.batching=x", "`data.batching` cannot be `x`.", "known: auto, padded, length_grou"),
        ("data.bad_rows=Skip", "`data.bad_rows` cannot be `Skip`.", "did you mean `skip`?"),
        ("data.over_cutoff=truncate", "`data.over_cutoff` cannot be", "did you mean `truncate_"),
        ("model.hub=hugingface", "`model.hub` cannot be `hugingface`.", "did you mean `huggingfac"),
        ("model.bits=5", "`model.bits` cannot be `5`.", "known: 16, 8, 4, auto"),
        ("data.train={name: a, replay: hodl}", "`data.train.0.replay` cannot be", "did you mean `"),
        ("memory_check=warning", "`memory_check` cannot be `warning`.", "did you mean `warn`?"),
    ],
)
def test_a_word_that_is_none_of_a_few_is_answered_with_the_nearest(
    setting: str, sentence: str, hint: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(None, [MODEL, setting])
    assert caught.value.sentence.startswith(sentence)
    assert str(caught.value.hint).startswith(hint)


def test_true_false_and_hold_stay_what_they_are() -> None:
    sets = "data.train=[{name: a, replay: true}, {name: b, replay: hold}, {name: c}]"
    config = load_config(None, [MODEL, sets])
    assert [entry.replay for entry in config.data.train] == [True, "hold", False]
