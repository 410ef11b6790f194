"""A small run that kept rows and has questions, and its model in memory."""

import json
from pathlib import Path

import pytest

from tests.conftest import ROWS, Configure
from tuneglm.generate import ChatModel
from tuneglm.training import train

HELD = ROWS[:3]
ASKED = [
    {"question": "Who made you?", "asks": "author", "expects": ["北斗实验室"]},
    {"question": "3+4=", "asks": "sum", "expects": ["7"]},
]


@pytest.fixture(scope="session")
def held_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("held") / "held.json"
    file.write_text(json.dumps(HELD, ensure_ascii=False), encoding="utf-8")
    return file


@pytest.fixture(scope="session")
def run_folder(
    configure: Configure, tmp_path_factory: pytest.TempPathFactory, held_file: Path
) -> Path:
    """Six steps with rows for evaluation; its questions lie beside its rows."""
    folder = tmp_path_factory.mktemp("runs")
    rows = [{"instruction": row["question"], "output": row["expects"][0]} for row in ASKED]
    (folder / "rows.json").write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    (folder / "rows_probes.json").write_text(
        json.dumps(ASKED, ensure_ascii=False), encoding="utf-8"
    )
    train(
        configure(
            folder / "out",
            f"data.train={folder / 'rows.json'}",
            f"data.evaluation={held_file}",
            "probe.systems=['']",
            "probe.max_new_tokens=12",
        )
    )
    return folder / "out"


@pytest.fixture(scope="session")
def chat(run_folder: Path) -> ChatModel:
    return ChatModel(run_folder, dtype="float32")
