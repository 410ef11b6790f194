"""A run on rows that are streamed: gone on with at the exact row, packed or padded."""

import json
import re
from pathlib import Path

import pytest

from tests.conftest import Configure
from tuneglm.config import load_config
from tuneglm.data import stream
from tuneglm.errors import ConfigError
from tuneglm.training import train

STREAMED = ("data.streaming=true", "data.shuffle_buffer=5")


def losses(folder: Path) -> list[float]:
    lines = (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return [entry["loss"] for entry in map(json.loads, lines) if "loss" in entry]


@pytest.mark.parametrize("batching", ["padded", "packed"])
def test_a_run_goes_on_at_the_exact_row(
    batching: str,
    configure: Configure,
    tmp_path: Path,
    rows_file: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Also into the second pass over the twelve rows. What they are to give is printed before."""
    settings = (*STREAMED, f"data.batching={batching}", "data.cutoff=64", "training.max_steps=9")
    settings = (*settings, *(("training.per_device_train_batch_size=1",) * (batching == "packed")))
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    train(configure(whole, *settings))
    train(configure(stopped, *settings, "training.save_steps=7"))
    (checkpoint,) = [path for path in stopped.glob("checkpoint-*") if path.name.endswith("-7")]
    again = tmp_path / "again"
    train(configure(again, *settings, f"resume={checkpoint}"))
    assert losses(again) == losses(whole)
    assert len(losses(whole)) == 9
    out = capsys.readouterr().out
    each = {"padded": "2 rows each", "packed": "1 pack each"}[batching]
    assert f"9 · {each}" in out
    assert re.search(rf"{rows_file.name} +100\.0% +\d", out)


def test_what_comes_to_light_on_the_way_is_told_at_the_end(
    configure: Configure,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(stream, "BLOCK", 4)
    train(configure(tmp_path / "out", *STREAMED, "data.cutoff=16", "training.max_steps=1"))
    start, end = capsys.readouterr().out.split("Model ")
    assert "of the 4 read so far" in start
    assert "of the 12 read so far" in end


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (("training.max_steps=-1",), "does not know how many rows"),
        (("data.evaluation_share=0.1",), r"take data\.evaluation"),
        (("data.batching=length_grouped",), r"take data\.batching=packed"),
        (("training.dataloader_num_workers=2",), "cannot be given with streamed rows"),
    ],
)
def test_what_streamed_rows_cannot_have(
    settings: tuple[str, ...], sentence: str, configure: Configure, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        train(configure(tmp_path / "out", *STREAMED, *settings))


def test_repeats_need_all_rows() -> None:
    entry = "data.train=[{path: a.json, repeats: 2}]"
    with pytest.raises(ConfigError, match="take share or weight"):
        load_config(None, ["model.path=m", "data.streaming=true", entry])
