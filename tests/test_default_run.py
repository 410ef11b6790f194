"""What a run takes by itself where its file says nothing: each fast way, asked for and in place."""

from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from torch import nn

from tests.conftest import Configure
from tuneglm import methods, training
from tuneglm.models.fast import is_fast
from tuneglm.stages.trainer import StageTrainer
from tuneglm.training import train


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> Mock:
    """Which of the fast ways were taken, in their order; each is taken all the same."""
    recorder = Mock()
    for module, name in (
        (training, "give_large_blocks_back"),
        (training, "bound_kernels"),
        (methods, "make_fast"),
    ):
        watched = Mock(wraps=getattr(module, name))
        recorder.attach_mock(watched, name)
        monkeypatch.setattr(module, name, watched)
    return recorder


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[tuple[nn.Module, dict[str, Any]]]:
    """Model and batch of each step."""
    seen: list[tuple[nn.Module, dict[str, Any]]] = []
    step = StageTrainer.training_step

    def watched(self: StageTrainer, model: Any, inputs: Any, *given: Any) -> Any:
        seen.append((model, inputs))
        return step(self, model, inputs, *given)

    monkeypatch.setattr(StageTrainer, "training_step", watched)
    return seen


def test_a_run_without_settings_takes_each_fast_way(
    configure: Configure,
    tmp_path: Path,
    called: Mock,
    steps: list[tuple[nn.Module, dict[str, Any]]],
) -> None:
    train(configure(tmp_path / "out", "training.max_steps=2"))
    # memory and kernels are bounded before anything is computed
    names = [name for name, *_ in called.mock_calls]
    assert names == ["give_large_blocks_back", "bound_kernels", "make_fast"]
    assert len(steps) == 2
    for model, batch in steps:
        assert any(is_fast(module) for module in model.modules())
        assert batch["row_lengths"].shape == (1, 2), "rows one after another, and none padded"
        assert batch["row_lengths"].sum() == batch["input_ids"].numel()
