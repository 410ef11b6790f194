"""A method sees packed rows as it sees padded ones: the losses of a run are the same."""

import json
from pathlib import Path

import pytest

from tests.conftest import Configure
from tuneglm.demo import model_folder
from tuneglm.methods import METHODS
from tuneglm.training import train

OPTIONS = {
    "p_tuning": ("method.length=4", "method.dropout=0"),
    "prompt": ("method.length=4",),
    "lora": (),
    "freeze": (),
    "full": (),
}


@pytest.mark.parametrize("family", [None, "chatglm"])
@pytest.mark.parametrize("method", METHODS)
def test_packed_is_padded(
    configure: Configure, tmp_path: Path, method: str, family: str | None
) -> None:
    # all rows in one step, so that their order is nothing
    settings = (
        f"model.path={model_folder(family)}",
        f"method={method}",
        *OPTIONS[method],
        "training.max_steps=3",
        "training.learning_rate=0.01",
        "training.optim=sgd",
    )
    batching = {
        "padded": ("training.per_device_train_batch_size=16",),
        "packed": ("data.batching=packed", "training.per_device_train_batch_size=1"),
    }
    losses = {}
    for name, more in batching.items():
        folder = train(configure(tmp_path / name, *settings, *more)).folder
        entries = [json.loads(line) for line in (folder / "log.jsonl").open()]
        losses[name] = [entry["loss"] for entry in entries if "loss" in entry]
    assert losses["packed"] == pytest.approx(losses["padded"], rel=1e-4)
