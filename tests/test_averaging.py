"""`average`: a run's result is the mean of the weights that its last steps left."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.conftest import Configure
from tests.test_patience import BEST, evaluations, lowest_at_step_two, weights_of
from tests.test_training import unfinished
from tuneglm.demo import MODEL_FOLDER
from tuneglm.errors import ConfigError
from tuneglm.plan.planning import plan
from tuneglm.plan.step import AVERAGE_BYTES
from tuneglm.stages.averaging import AVERAGE_FILE
from tuneglm.stages.sharing import Kind, Sharing, check_sharing
from tuneglm.training import train

__all__ = ["lowest_at_step_two"]
EACH_STEP = ("training.save_steps=1", "training.save_total_limit=20")
ADAPTER = "adapter_model.safetensors"


def test_the_result_is_the_mean_of_the_last_steps(
    configure: Configure, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = train(configure(tmp_path / "out", *EACH_STEP, "average=0.5")).folder
    steps = [load_file(folder / f"checkpoint-{step}" / ADAPTER) for step in (4, 5, 6)]
    result = load_file(folder / ADAPTER)
    for name, weight in result.items():
        mean = torch.stack([each[name] for each in steps]).mean(0)
        torch.testing.assert_close(weight, mean, rtol=1e-5, atol=1e-8)
    moving = [name for name in result if not torch.equal(steps[1][name], steps[2][name])]
    assert any(not torch.equal(result[name], steps[2][name]) for name in moving)
    assert "Kept     the mean of the weights of steps 4 to 6" in capsys.readouterr().out


@pytest.mark.parametrize("method", ["lora", "full", "p_tuning", "method.init=pissa"])
def test_what_was_killed_averages_the_same_steps(
    configure: Configure, tmp_path: Path, method: str
) -> None:
    kind = method if "=" in method else f"method={method}"
    settings = (*EACH_STEP, kind, "average=0.7")
    whole = train(configure(tmp_path / "whole", *settings)).folder
    for step in (1, 4, 6):
        again = tmp_path / f"again-{step}"
        unfinished(whole, again, keep=f"checkpoint-{step}")
        run = again / "run.yaml"
        run.write_text(run.read_text().replace(str(whole), str(again)))
        train(configure(again, *settings))
        assert weights_of(again) == weights_of(whole)


def test_what_is_evaluated_is_the_mean(configure: Configure, tmp_path: Path) -> None:
    held = ("data.evaluation_rows=2", "training.eval_steps=3")
    folder = train(configure(tmp_path / "out", *held, "average=1")).folder
    last, _ = evaluations(folder)[-1]
    plain, _ = evaluations(train(configure(tmp_path / "plain", *held)).folder)[-1]
    result = configure(tmp_path / "asked", *held, f"model.adapters=[{folder}]")
    # a step that changes nothing, and an evaluation of what it started from
    still = ("training.max_steps=1", "training.learning_rate=1e-30", "training.eval_steps=1")
    asked = train(configure_again(result, still)).folder
    assert evaluations(asked)[-1][0] == pytest.approx(last, abs=1e-5)
    assert abs(last - plain) > 1e-3


def configure_again(config: Any, overrides: tuple[str, ...]) -> Any:
    """The same run with other values of `training:`."""
    changed = {}
    for override in overrides:
        key, _, value = override.removeprefix("training.").partition("=")
        changed[key] = json.loads(value)
    return config.model_copy(update={"training": config.training | changed})


@pytest.mark.usefixtures("lowest_at_step_two")
def test_the_best_checkpoint_is_kept_with_its_own_mean(
    configure: Configure, tmp_path: Path
) -> None:
    settings = (*BEST, "average=1", "training.load_best_model_at_end=true")
    folder = train(configure(tmp_path / "out", *settings)).folder
    best = load_file(folder / "checkpoint-2" / AVERAGE_FILE)
    result = load_file(folder / ADAPTER)
    means = sorted(each.flatten().tolist() for each in best.values())
    assert sorted(each.flatten().tolist() for each in result.values()) == means


@pytest.mark.parametrize("kind", ["zero1", "zero2", "zero3", "fsdp"])
def test_weights_in_parts_have_no_mean(configure: Configure, tmp_path: Path, kind: Kind) -> None:
    config = configure(tmp_path, "average=0.5")
    with pytest.raises(ConfigError, match="`average` takes the mean of whole weights"):
        check_sharing(config, Sharing(kind, 2), MODEL_FOLDER)
    check_sharing(config, Sharing("copies", 2), MODEL_FOLDER)


def test_a_plan_counts_the_mean(configure: Configure, tmp_path: Path) -> None:
    plain, averaged = (
        plan(configure(tmp_path, "method=full", *more)) for more in ((), ("average=0.5",))
    )
    more = averaged.memory.parts["optimizer"] - plain.memory.parts["optimizer"]
    assert more == AVERAGE_BYTES * plain.memory.parts["trained"] / 4
