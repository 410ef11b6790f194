"""What comes through a pipe is read once, and used as a file is."""

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from tests import letters
from tuneglm.data.check import check
from tuneglm.data.cutoff import Rule
from tuneglm.data.encode import Encoder
from tuneglm.data.example_set import RowProblem
from tuneglm.data.examples import load_examples
from tuneglm.data.lengths import measured
from tuneglm.data.pipeline import encode_data
from tuneglm.data.stats import stats
from tuneglm.data_config import DataConfig
from tuneglm.errors import DataError

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no such pipes")
ENCODER = Encoder(letters.render, Rule(), "letters")
ROWS = [
    {"messages": [{"role": "user", "content": f"q{i}"}, {"role": "assistant", "content": "a"}]}
    for i in range(99)
]


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    lines = "".join(f"{json.dumps(row)}\n" for row in ROWS)
    threading.Thread(target=lambda: path.write_text(lines), daemon=True).start()
    return path


def config_of(pipe: Path, entry: dict[str, Any] | None = None, **data: Any) -> DataConfig:
    settings = {"train": [{"path": str(pipe), **(entry or {})}], "cache": str(pipe.parent), **data}
    return DataConfig.model_validate(settings)


def test_a_run_reads_it_and_finds_its_format(pipe: Path) -> None:
    config = config_of(pipe)
    rows = encode_data(load_examples(config), ENCODER, config).train.rows
    assert [letters.text_of(row) for row in rows] == [f"q{i}a" for i in range(99)]
    assert rows[4].source is not None and str(rows[4].source) == f"{pipe}:5"


def test_a_table_in_a_pipe_is_told_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    text = "instruction,output\nq,a\n"
    threading.Thread(target=lambda: path.write_text(text), daemon=True).start()
    with pytest.raises(DataError, match="expected a list") as refused:
        load_examples(config_of(path))
    assert "write what comes through the pipe into such a file" in str(refused.value.hint)


def test_rows_are_drawn_from_it(pipe: Path) -> None:
    config = config_of(pipe, {"max_rows": 10, "seed": 1})
    assert len(encode_data(load_examples(config), ENCODER, config).train.rows) == 10


def test_it_is_checked_and_measured(pipe: Path) -> None:
    config, found = config_of(pipe), list[RowProblem]()
    checked = check(config, found.append)
    (lengths,) = measured(checked.sets, ENCODER, [letters.END], config, lambda *_: None)
    assert not found and (checked.read, lengths.count) == (99, 99)


def test_its_figures_are_counted(pipe: Path) -> None:
    (figures,) = stats(config_of(pipe), ENCODER).sets
    assert (figures.rows, figures.trained_tokens) == (99, 198)


def test_it_is_not_streamed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match=r"leave data\.streaming out"):
        load_examples(config_of(tmp_path / "pipe", streaming=True))


def test_several_processes_do_not_share_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="several processes"):
        load_examples(config_of(tmp_path / "pipe"))
