"""What many tests need: a small model that knows how to chat, and runs on it."""

import gc
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tuneglm.config import RunConfig, load_config
from tuneglm.demo import MODEL_FOLDER

# an example's time says nothing where others use the processors too
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

ROWS = [
    {"instruction": "你是谁？", "input": "", "output": "我是星河。"},
    {"instruction": "Who made you?", "input": "", "output": "北斗实验室 made me."},
    {
        "instruction": "And in Chinese?",
        "input": "",
        "output": "你好！很高兴认识你。",
        "history": [["Say hello", "Hello there, nice to meet you."]],
    },
    {"instruction": "3+4=", "input": "", "output": "7"},
] * 3

SLOWEST = {"end_to_end", "matrix", "test_browser"}

Configure = Callable[..., RunConfig]


def pytest_collectstart() -> None:
    """None is looked for until the test files are imported; xdist's first process imports none."""
    gc.disable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first: at the end one process would wait for the other."""
    items.sort(key=lambda item: SLOWEST.isdisjoint({item.path.parent.name, item.path.stem}))


def pytest_collection_finish() -> None:
    """What the test files imported stays: each run would search it for garbage several times."""
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """As it was, after each test: accelerate writes into it what a run asks of it."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def rows_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "rows.json"
    path.write_text(json.dumps(ROWS, ensure_ascii=False), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def configure(rows_file: Path) -> Configure:
    """A run of six float32 steps on the demo model, and whatever is overridden."""

    def configured(output: Path, *overrides: str) -> RunConfig:
        settings: dict[str, Any] = {
            "model.path": MODEL_FOLDER,
            "model.dtype": "float32",
            "data.train": rows_file,
            "training.output_dir": output,
            "training.bf16": "false",
            "training.max_steps": 6,
            "training.per_device_train_batch_size": 2,
            "training.learning_rate": 0.005,
            # it takes longer than such a run's steps; tests/test_plan.py asks for it
            "memory_check": "off",
            "training.logging_steps": 1,
        }
        return load_config(None, [*(f"{k}={v}" for k, v in settings.items()), *overrides])

    return configured
