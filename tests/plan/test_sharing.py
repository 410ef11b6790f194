"""A run whose processes divide the model is told beforehand what each will take, and refused."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.test_plan import FLOAT32, only_config, step
from tuneglm.errors import ConfigError
from tuneglm.methods import METHODS
from tuneglm.plan import planning
from tuneglm.plan.batch_shape import Batch
from tuneglm.plan.divided import divided, left_out, sharing_planned
from tuneglm.plan.planning import check_memory
from tuneglm.plan.records import memory_of
from tuneglm.plan.step import Step
from tuneglm.plan.step_memory import step_memory
from tuneglm.stages.sharing import ZERO_PARTS, Kind, Sharing, sharing_of

BF16 = ("model.dtype=bfloat16", "training.bf16=true")


def whole(folder: Path, *settings: str) -> Step:
    """A step of full tuning of a model whose weights are most of it."""
    sizes = {"hidden_size": 256, "intermediate_size": 1024, "vocab_size": 4096}
    made = only_config(folder, **sizes)
    return step(made, "method=full", *settings, batch=Batch(4, 16, 4))


@pytest.fixture(autouse=True)
def _no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """And one method to choose among."""
    few = {"full": METHODS["full"]}
    monkeypatch.setattr("tuneglm.plan.planned_step.METHODS", few)
    monkeypatch.setattr("tuneglm.plan.records.resident", lambda: 0)
    monkeypatch.setattr("tuneglm.plan.records.FIRST_USE", 0)


@pytest.mark.parametrize("kind", ["zero2", "zero3", "fsdp"])
def test_what_one_process_holds_decides(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What fits divided is not refused; what does not is, and more processes are proposed."""
    alone = whole(tmp_path, *FLOAT32)
    shared = replace(alone, sharing=Sharing(kind, 8))
    peaks = [memory_of(each, step_memory(each)).peak for each in (alone, shared)]
    assert peaks[1] < 0.8 * peaks[0]
    monkeypatch.setattr(planning, "device_memory", lambda _: peaks[1])
    told = check_memory(shared)
    assert told is not None and told.peak == peaks[1]
    monkeypatch.setattr(planning, "device_memory", lambda _: peaks[1] // 2)
    with pytest.raises(ConfigError, match="The run needs about"):
        check_memory(shared)


def test_more_processes_are_proposed_where_nothing_else_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = replace(whole(tmp_path, *FLOAT32), sharing=Sharing("fsdp", 8))
    monkeypatch.setattr(planning, "device_memory", lambda _: 1000)
    with pytest.raises(ConfigError, match="needs about") as refused:
        check_memory(shared)
    assert "more processes" in str(refused.value.hint)


def test_copies_of_weights_in_16_bits_are_made_by_copies_alone(tmp_path: Path) -> None:
    """FSDP gathers a layer's weights in the type that is computed in, and lets them go."""
    made = whole(tmp_path, *BF16)
    traced = step_memory(made)
    # embeddings are looked up, not multiplied by
    multiplied = traced.fullest.parts["trained"] / 4 - 4096 * 256
    at_loss = traced.peaks["loss"].parts
    assert at_loss["casts"] == pytest.approx(2 * multiplied, rel=0.01)
    plain = divided(at_loss, made, Sharing("copies", 1))
    assert plain["activations"] == at_loss["activations"] + at_loss["casts"]
    assert "casts" not in plain
    shared = divided(at_loss, made, Sharing("fsdp", 8))
    assert shared["activations"] == at_loss["activations"] and "casts" not in shared


def test_deepspeed_holds_weights_in_16_bits_and_changes_others(tmp_path: Path) -> None:
    parts = {"trained": 800.0, "optimizer": 1600.0, "gradients": 800.0, "activations": 8.0}
    half, single = whole(tmp_path, *BF16), whole(tmp_path, *FLOAT32)
    zero2 = divided(parts, half, Sharing("zero2", 8))
    assert (zero2["trained"], zero2["optimizer"]) == (400.0, 300.0)
    zero3 = divided(parts, half, Sharing("zero3", 8))
    assert (zero3["trained"], zero3["optimizer"]) == (50.0, 300.0)
    assert divided(parts, single, Sharing("zero2", 8))["trained"] == 800.0


@pytest.mark.parametrize(
    ("zero", "parts"),
    [
        ({}, set()),
        ({"offload_optimizer": {"device": "none"}}, set()),
        ({"offload_optimizer": {"device": "cpu"}}, {"gradients", "optimizer"}),
        ({"offload_param": {"device": "nvme"}}, {"weights", "quantization", "trained"}),
    ],
)
def test_training_and_plan_offload_the_same(zero: dict[str, Any], parts: set[str]) -> None:
    settings = {"zero_optimization": {"stage": 3, **zero}}
    plugin = SimpleNamespace(zero_stage=3, hf_ds_config=SimpleNamespace(config=settings))
    arguments: Any = SimpleNamespace(world_size=2, fsdp=None, deepspeed_plugin=plugin)
    assert sharing_of(arguments) == Sharing("zero3", 2, frozenset(parts))
    assert sharing_planned({"deepspeed": settings}, 2) == Sharing("zero3", 2, frozenset(parts))


def test_what_is_offloaded_is_not_on_the_device(tmp_path: Path) -> None:
    """But beside it; a processor has one memory for both."""
    made = replace(whole(tmp_path, *BF16), sharing=Sharing("zero2", 8))
    traced = step_memory(made)
    offloading = replace(made.sharing, offloads=ZERO_PARTS["optimizer"])
    assert memory_of(replace(made, sharing=offloading), traced) == memory_of(made, traced)
    card = replace(made, device=torch.device("cuda"))
    plain, less = (
        memory_of(replace(card, sharing=each), traced) for each in (card.sharing, offloading)
    )
    assert not plain.offloaded
    assert not less.parts["optimizer"] and not less.parts["gradients"]
    assert less.parts["weights"] == plain.parts["weights"]
    assert less.offloaded >= plain.parts["optimizer"] > 0
    assert less.peak < plain.peak


@pytest.mark.parametrize(
    ("training", "is_said"),
    [
        ({"deepspeed": {"zero_optimization": {"stage": 2}}}, True),
        (
            {
                "deepspeed": {
                    "zero_optimization": {"stage": 3, "offload_optimizer": {"device": "cpu"}}
                }
            },
            True,
        ),
        ({"fsdp": True}, False),
        ({}, False),
    ],
)
def test_a_plan_says_what_it_leaves_out(training: dict[str, Any], is_said: bool) -> None:
    said = left_out(sharing_planned(training, 8))
    assert ("buckets" in (said or "")) is is_said


@pytest.mark.parametrize(
    "training",
    [
        {"fsdp": True, "fsdp_config": {"fsdp_cpu_offload": True}},
        {"fsdp": True, "fsdp_config": {"cpu_offload": False}},
        {"deepspeed": {"zero_optimization": {"stage": 3, "offload_param": {"device": "cpu"}}}},
    ],
)
def test_settings_of_the_division_may_stand_in_a_file(
    training: dict[str, Any], tmp_path: Path
) -> None:
    option = "deepspeed" if "deepspeed" in training else "fsdp_config"
    file = tmp_path / "settings.json"
    file.write_text(json.dumps(training[option]))
    planned = sharing_planned(training, 2)
    assert sharing_planned(training | {option: str(file)}, 2) == planned
    assert bool(planned.offloads) == ("false" not in file.read_text())


@pytest.mark.parametrize("content", [None, "{", "[1]"])
@pytest.mark.parametrize("option", ["deepspeed", "fsdp_config"])
def test_a_file_of_settings_that_is_none_is_one_sentence(
    option: str, content: str | None, tmp_path: Path
) -> None:
    file = tmp_path / "settings.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigError, match=f"`training.{option}` names `{file}`, which is no"):
        sharing_planned({"fsdp": True, option: str(file)}, 2)
