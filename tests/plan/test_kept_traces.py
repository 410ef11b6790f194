"""A step that was run without data once is not run again, and nothing else is taken for it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.test_plan import FLOAT32, only_config, step
from tuneglm.plan import kept_traces
from tuneglm.plan.batch_shape import Batch
from tuneglm.plan.kept_traces import kept_or_traced
from tuneglm.plan.ledger import Peak
from tuneglm.plan.step import Step
from tuneglm.plan.step_memory import StepMemory, step_memory

BATCH = Batch(1, 32, 8)


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Step]:
    """Every step that was run, or would have been; the cache begins empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    seen: list[Step] = []

    def watched(made: Step) -> StepMemory:
        seen.append(made)
        # no two alike, so that it is seen which one was given
        return StepMemory({"forward": Peak({"weights": 1 / 3}, 1.0, 2.0)}, 3.0, float(len(seen)))

    monkeypatch.setattr(kept_traces, "step_memory", watched)
    return seen


def test_the_same_step_is_run_once(runs: list[Step], tmp_path: Path) -> None:
    made = step(only_config(tmp_path), "method=lora", *FLOAT32, batch=BATCH)
    first = kept_or_traced(made)
    assert kept_or_traced(made) == first
    # what it takes does not depend on how fast it learns, or for how long
    slower = step(
        made.folder, "training.learning_rate=1e-6", "training.max_steps=7", *FLOAT32, batch=BATCH
    )
    assert kept_or_traced(slower) == first
    assert len(runs) == 1


def test_what_is_kept_is_all_that_was_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    made = step(only_config(tmp_path), "method=lora", *FLOAT32, batch=BATCH)
    traced = kept_or_traced(made)
    monkeypatch.setattr(kept_traces, "step_memory", None)
    assert kept_or_traced(made) == traced == step_memory(made)
    assert traced.peaks and traced.operations


@pytest.mark.parametrize(
    "settings",
    [
        ["method.rank=4"],
        ["method=full"],
        ["training.gradient_checkpointing=true"],
        ["training.gradient_accumulation_steps=2"],
        ["training.optim=sgd"],
        ["training.label_smoothing_factor=0.1"],
        ["model.dtype=float16"],
        ["average=0.5"],
        ["stage.kl=1"],
    ],
)
def test_another_step_is_run(settings: list[str], runs: list[Step], tmp_path: Path) -> None:
    folder = only_config(tmp_path)
    for each in ([], settings):
        kept_or_traced(step(folder, "method=lora", *FLOAT32, *each, batch=BATCH))
    assert len(runs) == 2


def longer(made: Step) -> Step:
    return replace(made, batch=Batch(1, 33, 8))


def evaluated(made: Step) -> Step:
    return replace(made, evaluation=BATCH)


def of_more_layers(made: Step) -> Step:
    config = made.folder / "config.json"
    config.write_text(config.read_text().replace('"num_hidden_layers": ', '"num_hidden_layers": 1'))
    return made


@pytest.mark.parametrize("change", [longer, evaluated, of_more_layers])
def test_another_batch_or_model_is_run(
    change: Callable[[Step], Step], runs: list[Step], tmp_path: Path
) -> None:
    made = step(only_config(tmp_path), "method=lora", *FLOAT32, batch=BATCH)
    kept_or_traced(made)
    kept_or_traced(change(made))
    assert len(runs) == 2


def test_another_library_of_products_is_run(
    runs: list[Step], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It keeps other tensors for the way back."""
    made = step(only_config(tmp_path), "method=lora", *FLOAT32, batch=BATCH)
    for is_used in (False, True):
        monkeypatch.setattr(kept_traces, "by_onednn", lambda is_used=is_used: is_used)
        kept_or_traced(made)
    assert len(runs) == 2


def test_other_code_runs_it_anew(
    runs: list[Step], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = step(only_config(tmp_path), "method=lora", *FLOAT32, batch=BATCH)
    kept_or_traced(made)
    monkeypatch.setattr(kept_traces, "_code", lambda: ("another",))
    kept_or_traced(made)
    assert len(runs) == 2


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"peaks": {"forward": {}}}', "null"])
def test_a_file_that_is_broken_is_as_if_there_were_none(
    content: str, runs: list[Step], tmp_path: Path
) -> None:
    made = step(only_config(tmp_path), "method=lora", *FLOAT32, batch=BATCH)
    first = kept_or_traced(made)
    (file,) = (tmp_path / "cache" / "tuneglm" / "plans").iterdir()
    file.write_text(content)
    second = kept_or_traced(made)
    assert second != first and kept_or_traced(made) == second
    assert len(runs) == 2


def test_without_a_place_to_keep_it_it_is_run(
    runs: list[Step], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null/nowhere")
    made: Any = step(only_config(tmp_path), "method=lora", *FLOAT32, batch=BATCH)
    assert kept_or_traced(made) != kept_or_traced(made)
    assert len(runs) == 2


def test_of_many_the_older_half_goes(
    runs: list[Step], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_traces, "MOST_FILES", 3)
    folder = only_config(tmp_path)
    for length in range(20, 24):
        kept_or_traced(step(folder, "method=lora", *FLOAT32, batch=Batch(1, length, 8)))
    assert len([*(tmp_path / "cache" / "tuneglm" / "plans").iterdir()]) == 2
    kept_or_traced(step(folder, "method=lora", *FLOAT32, batch=Batch(1, 23, 8)))
    assert len(runs) == 4
