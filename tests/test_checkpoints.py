"""The output folder's rules, and what Ctrl-C leaves."""

import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import Configure
from tests.test_training import unfinished
from tuneglm.checkpoints import refuse_taken, run_within
from tuneglm.config import dump_config, load_config
from tuneglm.errors import ConfigError, ModelError, OutputError
from tuneglm.generate import ChatModel
from tuneglm.models.loading import load_model
from tuneglm.stages.sft import SftTrainer
from tuneglm.training import train

Press = Callable[[str, int, int], None]


@pytest.fixture
def press(monkeypatch: pytest.MonkeyPatch) -> Press:
    """Ctrl-C, so many times, when the Trainer comes to a method after so many steps."""

    def pressed(method: str, steps: int, times: int) -> None:
        own = getattr(SftTrainer, method)

        def with_signal(trainer: Any, *arguments: Any, **named: Any) -> Any:
            result = own(trainer, *arguments, **named)
            if trainer.state.global_step == steps:
                for _ in range(times):
                    os.kill(os.getpid(), signal.SIGINT)
            return result

        monkeypatch.setattr(SftTrainer, method, with_signal)

    return pressed


@pytest.mark.parametrize(("method", "steps"), [("training_step", 5), ("evaluate", 6)])
def test_ctrl_c_when_the_last_step_has_begun_loses_nothing(
    configure: Configure, tmp_path: Path, press: Press, method: str, steps: int
) -> None:
    press(method, steps, 1)
    settings = ("training.save_strategy=no", "data.evaluation_share=0.2")
    result = train(configure(tmp_path / "out", *settings, "training.eval_steps=6"))
    assert result.finished and result.steps == 6
    assert (result.folder / "adapter_model.safetensors").is_file()


def test_a_key_that_was_hit_three_times_means_once(
    configure: Configure, tmp_path: Path, press: Press
) -> None:
    press("training_step", 2, 3)
    result = train(configure(tmp_path / "out", "training.save_strategy=no"))
    assert not result.finished
    with pytest.raises(ModelError, match="not finished"):
        ChatModel(result.folder)
    assert (tmp_path / "out" / "checkpoint-3").is_dir()
    assert train(configure(tmp_path / "out", "training.save_strategy=no")).finished


def test_a_run_in_a_thread(configure: Configure, tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(train, configure(tmp_path / "out")).result().finished


def test_the_folder_is_judged_before_the_model_is_loaded(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_yet(*_: Any, **__: Any) -> None:
        pytest.fail("the model was loaded")

    monkeypatch.setattr("tuneglm.base_model.load_model", not_yet)
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "out", Path("/proc/out")):
        with pytest.raises(OutputError, match=f"`{folder}`"):
            train(configure(folder))
    with pytest.raises(ConfigError, match=r"is no checkpoint.*lacks `manifest.json`"):
        train(configure(tmp_path / "a" / "out", f"resume={tmp_path}"))
    assert not (tmp_path / "a").exists()


def test_only_the_process_that_writes_looks_at_the_folder(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On another machine something else may lie by its name."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").touch()
    config = configure(tmp_path / "out")
    monkeypatch.setenv("RANK", "1")
    refuse_taken(config)
    for rank in ("0", None):
        if rank is None:
            monkeypatch.delenv("RANK")
        else:
            monkeypatch.setenv("RANK", rank)
        with pytest.raises(OutputError, match="out"):
            refuse_taken(config)


def test_a_run_file_of_ones_own_in_the_output_folder(configure: Configure, tmp_path: Path) -> None:
    """Short, commented, with relative ways of saying things; and it stays as it was written."""
    out = tmp_path / "out"
    out.mkdir()
    tree = yaml.safe_load(dump_config(configure(out)))
    short = {"model": tree["model"]["path"], "training": tree["training"]}
    text = "# mine\n" + yaml.safe_dump({**short, "model": {"path": tree["model"]["path"]}})
    (out / "run.yaml").write_text(f"{text}data: {{train: {tree['data']['train'][0]['path']}}}\n")
    written = (out / "run.yaml").read_text()
    assert train(load_config(out / "run.yaml")).finished
    assert (out / "run.yaml").read_text() == written


def test_a_run_from_before_a_key_was_there_goes_on(configure: Configure, tmp_path: Path) -> None:
    config = configure(tmp_path / "out", "training.save_steps=3")
    whole = train(config).folder
    old = tmp_path / "old"
    unfinished(whole, old, keep="checkpoint-3")
    tree = yaml.safe_load((old / "run.yaml").read_text())
    tree["training"]["output_dir"] = str(old)
    del tree["data"]["bad_rows"], tree["method"]["dropout"], tree["stage"]
    (old / "run.yaml").write_text(yaml.safe_dump(tree))
    result = train(configure(old, "training.save_steps=3"))
    assert (result.folder / "adapter_model.safetensors").is_file()


@pytest.mark.parametrize("name", ["optimizer.pt", "adapter_model.safetensors"])
def test_a_damaged_checkpoint_is_passed_over(
    configure: Configure, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    config = configure(tmp_path / "out", "training.save_steps=3")
    folder = train(config).folder
    (folder / "adapter_model.safetensors").unlink()
    damaged = folder / "checkpoint-6" / name
    damaged.write_bytes(damaged.read_bytes()[:-100])
    assert train(config).finished
    assert f"Goes on from {folder / 'checkpoint-3'}" in capsys.readouterr().out


def test_what_a_checkpoint_carries_cannot_change(configure: Configure, tmp_path: Path) -> None:
    whole = train(configure(tmp_path / "out", "training.save_steps=3")).folder
    (whole / "adapter_model.safetensors").unlink()
    with pytest.raises(OutputError, match=r"another `training\.learning_rate`"):
        train(configure(whole, "training.learning_rate=1"))
    assert train(configure(whole, "training.save_steps=2")).finished


def test_a_run_that_goes_on_to_another_end_says_so(
    configure: Configure, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = train(configure(tmp_path / "out", "training.save_steps=3")).folder
    (whole / "adapter_model.safetensors").unlink()
    train(configure(whole, "training.max_steps=9"))
    assert "and is 9: from here on the learning rate" in " ".join(capsys.readouterr().out.split())


def test_a_run_that_broke_off_with_nothing_done_leaves_nothing(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(SftTrainer, "compute_loss", broken)
        with pytest.raises(ZeroDivisionError):
            train(configure(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_saved_run_is_repeated_from_any_folder(
    configure: Configure, tmp_path: Path, rows_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my.json").write_bytes(rows_file.read_bytes())
    monkeypatch.chdir(tmp_path)
    train(configure(Path("out"), "data.train=my.json", "training.max_steps=1"))
    monkeypatch.chdir("/")
    saved = load_config(tmp_path / "out" / "run.yaml")
    assert [entry.path for entry in saved.data.train] == [str(tmp_path / "my.json")]
    assert saved.training["output_dir"] == str(tmp_path / "out")
    assert saved.data.dir == str(tmp_path / "data")


@pytest.mark.parametrize("bits", [4, 8])
def test_packed_weights_are_counted_as_what_they_were(
    configure: Configure, tmp_path: Path, capsys: pytest.CaptureFixture[str], bits: int
) -> None:
    pytest.importorskip("bitsandbytes")
    config = configure(tmp_path / "out", f"model.bits={bits}", "training.max_steps=1")
    train(config)
    own = sum(weight.numel() for weight in load_model(config.model.path).parameters())
    trained, everything = _counts(capsys.readouterr().out)
    assert everything == own + trained


def _counts(printed: str) -> tuple[int, int]:
    (line,) = [line for line in printed.splitlines() if "parameters" in line]
    words = line.replace(",", "").split()
    place = words.index("of")
    return int(words[place - 1]), int(words[place + 1])


def test_a_folder_that_holds_one_run_means_that_run(tmp_path: Path) -> None:
    """As `demo_output` does; with a second one finished, both are named."""
    run, other = tmp_path / "one", tmp_path / "two"
    run.mkdir()
    assert run_within(tmp_path) == tmp_path
    (run / "run.yaml").touch()
    assert run_within(tmp_path) == run, "its own sentence says that it is not finished"
    other.mkdir()
    (other / "run.yaml").touch()
    (other / "adapter_model.safetensors").touch()
    assert run_within(tmp_path) == other
    assert run_within(str(other)) == other
    assert run_within("zai-org/chatglm3-6b") == Path("zai-org/chatglm3-6b")
    (run / "model.safetensors").touch()
    with pytest.raises(ModelError, match="holds 2 finished runs: `one`, `two`"):
        run_within(tmp_path)
