"""The best checkpoint is what a run leaves, and a run ends when nothing better comes."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Configure
from tests.test_training import unfinished
from tuneglm.checkpoints import RESULTS
from tuneglm.errors import ConfigError
from tuneglm.stages.patience import since_lowest
from tuneglm.stages.sft import SftTrainer
from tuneglm.training import train

BEST = ("data.evaluation_rows=2", "training.eval_steps=1")
# as if evaluated after each of the six steps
LOSSES = (3.0, 1.0, 2.0, 1.5, 2.0, 2.0)
LOWEST, LAST = 2, 6
# how each method saves and restores differs
METHODS = {
    "lora": (),
    "lora of all kinds": ("method.init=pissa", "method.lora_plus=4", "method.tokens=[7,300]"),
    "full": (),
    "freeze": ("method.layers=-2",),
    "p_tuning": ("method.length=4", "method.projection=true"),
    "prompt": ("method.length=4",),
}


@pytest.fixture
def lowest_at_step_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """Evaluations whose losses are LOSSES."""
    own: Any = SftTrainer.evaluation_loop

    def evaluation_loop(trainer: SftTrainer, *arguments: Any, **named: Any) -> Any:
        output = own(trainer, *arguments, **named)
        output.metrics["eval_loss"] = LOSSES[trainer.state.global_step - 1]
        return output

    monkeypatch.setattr(SftTrainer, "evaluation_loop", evaluation_loop)


def evaluations(folder: Path) -> list[tuple[float, int]]:
    entries = [json.loads(line) for line in (folder / "log.jsonl").open()]
    return [(entry["eval_loss"], entry["step"]) for entry in entries if "eval_loss" in entry]


def weights_of(folder: Path) -> bytes:
    (name,) = [name for name in RESULTS if (folder / name).is_file()]
    return (folder / name).read_bytes()


@pytest.mark.usefixtures("lowest_at_step_two")
@pytest.mark.parametrize("kind", METHODS)
def test_the_result_is_the_best_checkpoint(
    configure: Configure, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = (*BEST, f"method={kind.split()[0]}", *METHODS[kind])
    config = configure(tmp_path / "out", *settings, "training.load_best_model_at_end=true")
    folder = train(config).folder
    best, last = folder / f"checkpoint-{LOWEST}", folder / f"checkpoint-{LAST}"
    assert weights_of(folder) == weights_of(best) != weights_of(last)
    assert set(folder.glob("checkpoint-*")) == {best, last}
    assert "Kept     the weights of step 2, evaluation 1.0000" in capsys.readouterr().out


@pytest.mark.usefixtures("lowest_at_step_two")
def test_a_run_ends_when_nothing_better_comes(
    configure: Configure, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = train(configure(tmp_path / "out", *BEST, "patience=2"))
    assert result.finished
    assert result.steps == LOWEST + 2
    assert weights_of(result.folder) == weights_of(result.folder / f"checkpoint-{LOWEST}")
    said = "at step 4 of 6: no evaluation since step 2 brought a lower loss"
    assert said in capsys.readouterr().out


@pytest.mark.usefixtures("lowest_at_step_two")
@pytest.mark.parametrize("since", [0, 1, 2])
def test_what_was_killed_near_its_end_ends_alike(
    configure: Configure, tmp_path: Path, since: int
) -> None:
    """Also after its last step, where a run that goes on has nothing to train."""
    settings = (*BEST, "patience=2", "training.save_total_limit=20")
    whole = train(configure(tmp_path / "whole", *settings)).folder
    again = tmp_path / "again"
    unfinished(whole, again, keep=f"checkpoint-{LOWEST + since}")
    if since:
        name = f"checkpoint-{LOWEST}"
        shutil.copytree(whole / name, again / name)
    run = again / "run.yaml"
    run.write_text(run.read_text().replace(str(whole), str(again)))
    # the best lies where the folder lies now
    shutil.move(whole, tmp_path / "elsewhere")
    train(configure(again, *settings))
    assert weights_of(again) == weights_of(tmp_path / "elsewhere")
    assert evaluations(again) == evaluations(tmp_path / "elsewhere")


@pytest.mark.usefixtures("lowest_at_step_two")
def test_a_best_checkpoint_that_is_gone_is_not_loaded(
    configure: Configure, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = (*BEST, "patience=2", "training.save_total_limit=20")
    whole = train(configure(tmp_path / "whole", *settings)).folder
    again = tmp_path / "again"
    unfinished(whole, again, keep=f"checkpoint-{LOWEST + 1}")
    run = again / "run.yaml"
    run.write_text(run.read_text().replace(str(whole), str(again)))
    with caplog.at_level("WARNING", logger="tuneglm"):
        result = train(configure(again, *settings))
    assert "was the best; it is not there: one of those to come is kept" in caplog.text
    # of steps 4 to 6; where patience ends it is counted from the lowest of all
    assert result.steps == 4
    assert weights_of(again) == weights_of(again / "checkpoint-4")


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (("patience=2",), "`patience` is `2`, and no rows are kept for evaluation"),
        (
            ("training.load_best_model_at_end=true",),
            "`training.load_best_model_at_end` is `true`, and no rows are kept for evaluation",
        ),
        (
            ("patience=2", "data.evaluation_rows=2", "training.eval_strategy=no"),
            "`patience` is `2`, and training.eval_strategy is `no`",
        ),
        (
            ("patience=2", "data.evaluation_rows=2", "training.save_strategy=no"),
            "training.save_strategy=no saves none",
        ),
    ],
)
def test_what_cannot_be_judged_is_refused(
    configure: Configure, tmp_path: Path, settings: tuple[str, ...], sentence: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        train(configure(tmp_path / "out", *settings))
    assert sentence in caught.value.sentence
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "settings",
    [
        (),
        ("training.save_steps=2",),
        ("training.eval_steps=2",),
        ("training.save_strategy=epoch",),
        ("training.eval_strategy=epoch",),
        ("training.save_strategy=best",),
    ],
)
def test_saving_and_evaluating_go_together(
    configure: Configure, tmp_path: Path, settings: tuple[str, ...]
) -> None:
    """Whichever of the two is left out follows the other."""
    best = ("data.evaluation_rows=2", "training.load_best_model_at_end=true")
    folder = train(configure(tmp_path / "out", *best, *settings)).folder
    _, step = min(evaluations(folder))
    assert weights_of(folder) == weights_of(folder / f"checkpoint-{step}")


def test_how_long_nothing_better_came() -> None:
    log = [{"loss": 1.0}, *({"eval_loss": loss} for loss in (3.0, 2.0, 2.5, 2.0))]
    assert since_lowest(log) == 2
    assert since_lowest(log[:3]) == 0
    assert since_lowest([]) == 0
