"""A checkpoint is whole or not to be seen, and a run that goes on is the run that was stopped."""

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import Trainer

from tests.conftest import ROWS, Configure
from tests.test_patience import lowest_at_step_two
from tests.test_training import unfinished
from tuneglm import manifest, training
from tuneglm.checkpoints import RESULTS
from tuneglm.config import load_config
from tuneglm.demo import MODEL_FOLDER
from tuneglm.errors import ConfigError, OutputError
from tuneglm.manifest import problem_of, read_manifest
from tuneglm.models import products
from tuneglm.plan.records import Foreseen
from tuneglm.stages.trainer import StageTrainer
from tuneglm.training import train

__all__ = ["lowest_at_step_two"]
WEIGHTS = "adapter_model.safetensors"


def losses(folder: Path) -> list[tuple[int, float]]:
    entries = [json.loads(line) for line in (folder / "log.jsonl").open()]
    return [(entry["step"], entry["loss"]) for entry in entries if "loss" in entry]


def killed_after(folder: Path, checkpoint: str) -> None:
    """The folder as a run leaves it that is killed after a checkpoint."""
    for path in folder.iterdir():
        if path.name in RESULTS:
            path.unlink()
        elif path.name.startswith("checkpoint-") and path.name != checkpoint:
            shutil.rmtree(path)


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("settings", "checkpoint"),
    [
        # the line of step 4 holds the losses of the steps before the checkpoint
        (("training.save_steps=3", "training.logging_steps=4"), "checkpoint-3"),
        # the Trainer would train one step more after the last
        (("training.save_steps=3", "training.max_steps=5"), "checkpoint-5"),
        (("training.save_steps=3", "training.gradient_accumulation_steps=2"), "checkpoint-3"),
    ],
)
def test_what_the_trainer_forgets_when_it_resumes(
    configure: Configure, tmp_path: Path, settings: tuple[str, ...], checkpoint: str
) -> None:
    config = configure(tmp_path / "out", *settings)
    folder = train(config).folder
    whole, weights = losses(folder), (folder / WEIGHTS).read_bytes()
    killed_after(folder, checkpoint)
    assert train(config).finished
    assert losses(folder) == whole
    assert (folder / WEIGHTS).read_bytes() == weights


def test_portions_that_memory_chose_are_kept(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is more memory when it goes on: by larger portions, sums would be rounded otherwise."""
    config = configure(tmp_path / "out", "training.save_steps=3")
    short = Foreseen("about 1 GiB; in portions of 8 tokens, to fit", 2**30, 8)
    monkeypatch.setattr(training, "check_memory", lambda _: short)
    folder = train(config).folder
    whole, weights = losses(folder), (folder / WEIGHTS).read_bytes()
    killed_after(folder, "checkpoint-3")
    monkeypatch.setattr(training, "check_memory", lambda _: replace(short, at_once=None))
    assert train(config).finished
    assert losses(folder) == whole
    assert (folder / WEIGHTS).read_bytes() == weights
    assert load_config(folder / "run.yaml").data.tokens_at_once == 8


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[float], None]]:
    """Lets what comes run where nothing was measured yet, and oneDNN is so many times as fast."""

    def be(times: float) -> None:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / f"cache {times}"))
        monkeypatch.setattr(products, "_times_as_fast", lambda *_: times)
        products.chosen.cache_clear()

    monkeypatch.delenv("TUNEGLM_PRODUCTS", raising=False)
    yield be
    products.go_on_with(None)
    products.chosen.cache_clear()


Elsewhere = Callable[[float], None]


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch has no oneDNN here")
def test_a_run_goes_on_with_the_library_that_it_began_with(
    configure: Configure, tmp_path: Path, elsewhere: Elsewhere
) -> None:
    """In a container where the other one is faster, and would round otherwise."""
    elsewhere(2.0)
    config = configure(tmp_path / "out", "training.save_steps=3")
    folder = train(config).folder
    whole, weights = losses(folder), (folder / WEIGHTS).read_bytes()
    killed_after(folder, "checkpoint-3")
    elsewhere(0.5)
    assert train(config).finished
    assert products.by_onednn()
    assert losses(folder) == whole
    assert (folder / WEIGHTS).read_bytes() == weights
    # a new run takes what is faster where it is
    train(configure(tmp_path / "new"))
    assert not products.by_onednn()
    assert (tmp_path / "new" / WEIGHTS).read_bytes() != weights


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch has no oneDNN here")
def test_whoever_names_a_library_is_told_that_it_rounds_otherwise(
    configure: Configure,
    tmp_path: Path,
    elsewhere: Elsewhere,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    elsewhere(2.0)
    config = configure(tmp_path / "out", "training.save_steps=3")
    folder = train(config).folder
    killed_after(folder, "checkpoint-3")
    monkeypatch.setenv("TUNEGLM_PRODUCTS", "torch")
    products.chosen.cache_clear()
    assert train(config).finished
    assert not products.by_onednn()
    said = " ".join(capsys.readouterr().out.split())
    assert "was saved with products by oneDNN and is continued by torch.mm" in said


def test_a_checkpoint_that_names_no_library_goes_on(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As earlier versions wrote them."""
    config = configure(tmp_path / "out", "training.save_steps=3")
    with monkeypatch.context() as earlier:
        earlier.setattr(manifest, "asdict", without_library)
        folder = train(config).folder
    weights = (folder / WEIGHTS).read_bytes()
    killed_after(folder, "checkpoint-3")
    written = json.loads((folder / "checkpoint-3" / "manifest.json").read_text("utf-8"))
    assert "by_onednn" not in written["course"]
    assert train(config).finished
    assert (folder / WEIGHTS).read_bytes() == weights


def without_library(whole: manifest.Manifest) -> dict[str, Any]:
    content = asdict(whole)
    del content["course"]["by_onednn"]
    return content


def test_a_manifest_lists_what_a_checkpoint_holds(configure: Configure, tmp_path: Path) -> None:
    folder = train(configure(tmp_path / "out", "training.save_steps=3")).folder
    manifest = read_manifest(folder / "checkpoint-3")
    assert manifest is not None
    assert (manifest.step, manifest.course.rows_a_step, manifest.course.processes) == (3, 2, 1)
    names = {path.name for path in (folder / "checkpoint-3").iterdir()}
    assert manifest.files.keys() == names - {"manifest.json"}
    assert names > {WEIGHTS, "optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json"}
    assert not (folder / "unfinished").exists()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("optimizer.pt", "its `optimizer.pt` is damaged"),
        (WEIGHTS, f"its `{WEIGHTS}` is damaged"),
        ("rng_state.pth", "its `rng_state.pth` is damaged"),
        ("manifest.json", "its `manifest.json` is damaged"),
    ],
)
def test_a_flipped_bit_is_seen(
    configure: Configure,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    reason: str,
) -> None:
    config = configure(tmp_path / "out", "training.save_steps=3")
    folder = train(config).folder
    (folder / WEIGHTS).unlink()
    flip_a_bit(folder / "checkpoint-6" / name)
    with pytest.raises(ConfigError, match=reason):
        train(configure(tmp_path / "other", f"resume={folder / 'checkpoint-6'}"))
    assert train(config).finished
    printed = capsys.readouterr().out
    assert f"Note: `{folder / 'checkpoint-6'}` is passed over: {reason}." in printed
    assert f"Goes on from {folder / 'checkpoint-3'}" in printed
    assert problem_of(folder / "checkpoint-6") is None


def test_without_a_whole_checkpoint_a_run_begins_anew(
    configure: Configure, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configure(tmp_path / "out")
    folder = train(config).folder
    (folder / WEIGHTS).unlink()
    (folder / "checkpoint-6" / "optimizer.pt").unlink()
    assert train(config).finished
    printed = capsys.readouterr().out
    assert "it lacks `optimizer.pt`" in printed
    assert "starts from the beginning" in printed
    assert [step for step, _ in losses(folder)] == [1, 2, 3, 4, 5, 6]


def test_weights_alone_are_no_checkpoint(configure: Configure, tmp_path: Path) -> None:
    config = configure(tmp_path / "out", "training.save_only_model=true")
    folder = train(config).folder
    assert problem_of(folder / "checkpoint-6") == "it holds the weights alone"


@pytest.mark.parametrize("part", ["_save_optimizer_and_scheduler", "_save_rng_state"])
def test_killed_inside_a_save(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    """What was being written is not seen; the checkpoint before it is still there."""

    class Killed(BaseException):
        pass

    own: Any = getattr(Trainer, part)

    def killed(trainer: Trainer, folder: str) -> None:
        if trainer.state.global_step == 4:
            raise Killed
        own(trainer, folder)

    config = configure(tmp_path / "out", "training.save_steps=2", "training.save_total_limit=1")
    with monkeypatch.context() as patched:
        patched.setattr(Trainer, part, killed)
        with pytest.raises(Killed):
            train(config)
    folder = tmp_path / "out"
    assert [path.name for path in folder.glob("checkpoint-*")] == ["checkpoint-2"]
    assert (folder / "unfinished" / "checkpoint-4").is_dir()
    assert train(config).finished
    assert [path.name for path in folder.glob("checkpoint-*")] == ["checkpoint-6"]
    assert not (folder / "unfinished").exists()


def test_the_best_checkpoint_is_kept_where_it_lies(configure: Configure, tmp_path: Path) -> None:
    settings = ("data.evaluation_rows=2", "training.load_best_model_at_end=true")
    steps = ("training.save_steps=2", "training.eval_steps=2", "training.save_total_limit=1")
    folder = train(configure(tmp_path / "out", *settings, *steps)).folder
    (kept,) = folder.glob("checkpoint-*")
    state = json.loads((kept / "trainer_state.json").read_text())
    assert state["best_model_checkpoint"] == str(kept)


@pytest.mark.usefixtures("lowest_at_step_two")
def test_a_stopped_run_goes_on_from_its_newest_checkpoint_beside_the_best(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where one is to be kept: both are, until a result is there."""
    settings = (
        *("data.evaluation_rows=2", "training.load_best_model_at_end=true"),
        *("training.save_steps=2", "training.eval_steps=2", "training.save_total_limit=1"),
    )
    whole = train(configure(tmp_path / "whole", *settings)).folder
    assert [path.name for path in whole.glob("checkpoint-*")] == ["checkpoint-2"]
    own = StageTrainer.training_step

    def stopped(trainer: StageTrainer, *arguments: Any, **named: Any) -> Any:
        if trainer.state.global_step == 3:
            signal.raise_signal(signal.SIGTERM)
        return own(trainer, *arguments, **named)

    config = configure(tmp_path / "out", *settings)
    with monkeypatch.context() as patched:
        patched.setattr(StageTrainer, "training_step", stopped)
        assert not train(config).finished
    names = {path.name for path in (tmp_path / "out").glob("checkpoint-*")}
    assert names == {"checkpoint-2", "checkpoint-4"}
    assert train(config).finished
    assert [path.name for path in (tmp_path / "out").glob("checkpoint-*")] == ["checkpoint-2"]
    assert (tmp_path / "out" / WEIGHTS).read_bytes() == (whole / WEIGHTS).read_bytes()


def test_checkpoints_of_a_course_that_was_left_go_first(
    configure: Configure, tmp_path: Path
) -> None:
    settings = ("training.save_steps=2", "training.save_total_limit=3")
    folder = train(configure(tmp_path / "out", *settings)).folder
    (folder / WEIGHTS).unlink()
    again = (*settings[1:], "training.save_steps=1", "training.max_steps=3")
    train(configure(folder, *again, f"resume={folder / 'checkpoint-2'}"))
    assert {path.name for path in folder.glob("checkpoint-*")} == {
        "checkpoint-2",
        "checkpoint-3",
        "checkpoint-6",
    }


def test_other_rows_are_another_run(
    configure: Configure, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "rows.json"
    data.write_text(json.dumps(ROWS), encoding="utf-8")
    config = configure(tmp_path / "out", f"data.train={data}", "training.save_steps=3")
    folder = train(config).folder
    killed_after(folder, "checkpoint-3")
    data.write_text(json.dumps(ROWS[::-1]), encoding="utf-8")
    with pytest.raises(OutputError, match=r"The rows of data\.train are not those") as caught:
        train(config)
    assert f"resume={folder / 'checkpoint-3'}" in str(caught.value)
    named = f"resume={folder / 'checkpoint-3'}"
    train(configure(tmp_path / "out", f"data.train={data}", named))
    assert "Note: The rows of data.train are not those" in capsys.readouterr().out


def test_another_model_under_the_same_name_is_another_run(
    configure: Configure, tmp_path: Path
) -> None:
    model = shutil.copytree(MODEL_FOLDER, tmp_path / "model")
    config = configure(tmp_path / "out", f"model.path={model}", "training.save_steps=3")
    killed_after(train(config).folder, "checkpoint-3")
    file = model / "model.safetensors"
    save_file({name: -each for name, each in load_file(file).items()}, file, {"format": "pt"})
    with pytest.raises(OutputError, match=r"The weights of model\.path are not those"):
        train(config)


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("training.per_device_train_batch_size=3", "A step has 3 rows, and had 2"),
        ("training.seed=1", r"another `training\.seed`"),
    ],
)
def test_another_order_of_rows_is_another_run(
    configure: Configure, tmp_path: Path, setting: str, sentence: str
) -> None:
    folder = train(configure(tmp_path / "out")).folder
    killed_after(folder, "checkpoint-6")
    with pytest.raises(OutputError, match=sentence):
        train(configure(folder, setting))


def test_another_way_to_make_a_step_is_said(
    configure: Configure, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = ("training.save_steps=2", "training.max_steps=3")
    train(configure(tmp_path / "a", *settings))
    unfinished(tmp_path / "a", tmp_path / "b", keep="checkpoint-2")
    assert train(configure(tmp_path / "b", *settings, "training.max_grad_norm=0.5")).finished
    told = " ".join(capsys.readouterr().out.split())
    assert "training.max_grad_norm was not given and is 0.5: from here on it holds." in told


def test_the_same_command_twice_at_once(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    monkeypatch.setattr("tuneglm.lock.PATIENCE", 0.0)
    (tmp_path / "out").mkdir()
    descriptor = os.open(tmp_path / "out", os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with pytest.raises(OutputError, match="Another process is at work"):
        train(configure(tmp_path / "out"))
    os.close(descriptor)
    assert train(configure(tmp_path / "out")).finished


def test_killed_before_the_first_step(configure: Configure, tmp_path: Path) -> None:
    """What is left is nobody's; it does not keep the next start out."""
    (tmp_path / "out" / "unfinished").mkdir(parents=True)
    (tmp_path / "out" / "unfinished" / "run.yaml").write_text("mod")
    assert train(configure(tmp_path / "out")).finished


def test_a_folder_that_was_copied_goes_on(configure: Configure, tmp_path: Path) -> None:
    whole = train(configure(tmp_path / "out", "training.save_steps=3")).folder
    unfinished(whole, tmp_path / "copy", keep="checkpoint-3")
    run = tmp_path / "copy" / "run.yaml"
    run.write_text(run.read_text().replace(str(whole), str(tmp_path / "copy")))
    train(configure(tmp_path / "copy", "training.save_steps=3"))
    assert (tmp_path / "copy" / WEIGHTS).read_bytes() == (whole / WEIGHTS).read_bytes()
