"""`average`: a run's result is the mean of the weights that its last steps left."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.conftest import Configure
from tests.test_patience import BEST, evaluations, lowest_at_step_two, weights_of
from tests.test_training import RESUMED, unfinished
from tuneglm.errors import ConfigError, OutputError
from tuneglm.plan.planning import plan
from tuneglm.plan.step import AVERAGE_BYTES
from tuneglm.stages import sharing
from tuneglm.stages.arguments import training_arguments
from tuneglm.stages.averaging import AVERAGE_FILE, first_of
from tuneglm.stages.sharing import Sharing, check_average
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


@pytest.mark.parametrize("kind", RESUMED)
def test_what_was_killed_averages_the_same_steps(
    configure: Configure, tmp_path: Path, kind: str
) -> None:
    settings = (*EACH_STEP, f"method={kind.split()[0]}", *RESUMED[kind], "average=0.7")
    whole = train(configure(tmp_path / "whole", *settings)).folder
    for step in (4, 6):
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


def test_weights_in_parts_have_no_mean(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configure(tmp_path, "average=0.5")
    arguments = training_arguments(config, evaluates=False, rows=9)
    check_average(config, arguments)
    monkeypatch.setattr(sharing, "sharing_of", lambda _: Sharing("fsdp", 2))
    with pytest.raises(ConfigError, match=r"`average` takes .* and FSDP has none"):
        check_average(config, arguments)
    check_average(configure(tmp_path), arguments)
    # also in its stage 0, which divides nothing and still trains on weights of its own
    monkeypatch.setattr(sharing, "sharing_of", lambda _: Sharing("copies", 2))
    arguments.deepspeed_plugin = object()
    with pytest.raises(ConfigError, match=r"`average` takes .* and DeepSpeed has none"):
        check_average(config, arguments)


@pytest.mark.parametrize(
    ("share", "steps", "first"),
    [(0.5, 6, 4), (0.9, 10, 2), (0.8, 5, 2), (0.9, 100, 11), (1, 7, 1), (0.01, 10, 10)],
)
def test_the_last_steps_are_counted_from_the_end(share: float, steps: int, first: int) -> None:
    assert first_of(share, steps) == first


def test_a_run_that_goes_on_to_another_end_begins_its_mean_anew(
    configure: Configure, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = (*EACH_STEP, "average=0.5")
    short = train(configure(tmp_path / "short", *settings)).folder
    longer = tmp_path / "longer"
    unfinished(short, longer, keep="checkpoint-5")
    run = longer / "run.yaml"
    run.write_text(run.read_text().replace(str(short), str(longer)))
    train(configure(longer, *settings, "training.max_steps=9"))
    assert "Kept     the mean of the weights of steps 6 to 9" in capsys.readouterr().out
    steps = [load_file(longer / f"checkpoint-{step}" / ADAPTER) for step in (6, 7, 8, 9)]
    for name, weight in load_file(longer / ADAPTER).items():
        mean = torch.stack([each[name] for each in steps]).mean(0)
        torch.testing.assert_close(weight, mean, rtol=1e-5, atol=1e-8)


def test_another_share_is_another_run(configure: Configure, tmp_path: Path) -> None:
    whole = train(configure(tmp_path / "whole", *EACH_STEP, "average=0.5")).folder
    again = tmp_path / "again"
    unfinished(whole, again, keep="checkpoint-5")
    for other in ("average=0.2", "average=null"):
        with pytest.raises(OutputError, match="an unfinished run with another `average`"):
            train(configure(again, *EACH_STEP, other))


@pytest.mark.usefixtures("lowest_at_step_two")
def test_a_run_that_ends_before_its_last_steps_says_so(
    configure: Configure, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(configure(tmp_path / "out", *BEST, "patience=2", "average=0.2"))
    assert "Note: The weights are one step's" in " ".join(capsys.readouterr().out.split())


def test_a_plan_counts_the_mean(configure: Configure, tmp_path: Path) -> None:
    plain, averaged = (
        plan(configure(tmp_path, "method=full", *more), choices=False)
        for more in ((), ("average=0.5",))
    )
    more = averaged.memory.parts["optimizer"] - plain.memory.parts["optimizer"]
    assert more == AVERAGE_BYTES * plain.memory.parts["trained"] / 4
