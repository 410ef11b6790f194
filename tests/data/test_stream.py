"""Rows that are read, encoded and shuffled as a run goes on."""

import json
from collections import Counter
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from tests import letters
from tuneglm.data.cutoff import Rule
from tuneglm.data.encode import Encoder
from tuneglm.data.examples import load_examples
from tuneglm.data.stream import Stream, StreamedRows
from tuneglm.data_config import DataConfig
from tuneglm.errors import DataError

ENCODER = Encoder(letters.render, Rule(), "letters")


def write(folder: Path, name: str, count: int) -> str:
    path = folder / f"{name}.jsonl"
    rows = [{"instruction": f"{name}{number}", "output": "x"} for number in range(count)]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return str(path)


def stream(*entries: Any, buffer: int = 50) -> Stream:
    sets = load_examples(DataConfig.model_validate({"train": list(entries)})).train
    return Stream(sets, ENCODER, seed=0, buffer=buffer, bad_rows="stop")


def texts(rows: Any) -> list[str]:
    return [letters.text_of(row)[:-1] for row in rows]


def test_every_row_comes_once_in_an_order_of_the_seed_and_the_epoch(tmp_path: Path) -> None:
    wanted = stream(write(tmp_path, "a", 300), write(tmp_path, "b", 100))
    rows = StreamedRows(wanted)
    first = texts(rows.one_pass(0))
    assert sorted(first) == sorted([f"a{i}" for i in range(300)] + [f"b{i}" for i in range(100)])
    again = texts(rows.one_pass(1))
    assert first != again and sorted(first) == sorted(again)
    assert texts(islice(rows, 800)) == first + again
    assert first != texts(StreamedRows(replace(wanted, seed=1)).one_pass(0))


def test_a_buffer_of_one_keeps_a_files_order(tmp_path: Path) -> None:
    rows = StreamedRows(stream(write(tmp_path, "a", 99), buffer=1))
    assert texts(rows.one_pass(0)) == [f"a{i}" for i in range(99)]


def test_sets_are_mixed_all_along(tmp_path: Path) -> None:
    wanted = stream(write(tmp_path, "a", 900), write(tmp_path, "b", 300))
    rows = texts(StreamedRows(wanted).one_pass(0))
    for part in (rows[:400], rows[400:800], rows[800:1150]):
        assert 0.1 < sum(text.startswith("b") for text in part) / len(part) < 0.45


def test_a_set_with_a_share_begins_again_until_the_others_end(tmp_path: Path) -> None:
    entry = {"path": write(tmp_path, "b", 5), "share": 0.2}
    wanted = stream(write(tmp_path, "a", 400), entry)
    counts = Counter(texts(StreamedRows(wanted).one_pass(0)))
    often = [counts[f"b{i}"] for i in range(5)]
    assert 60 < sum(often) < 140 and max(often) - min(often) <= 2
    assert all(counts[f"a{i}"] == 1 for i in range(400))
    with pytest.raises(DataError, match="nothing to other sets"):
        next(iter(StreamedRows(stream(entry))))


def test_packs_hold_every_row_once_and_no_more_than_they_can(tmp_path: Path) -> None:
    wanted = replace(stream(write(tmp_path, "a", 500)), capacity=64)
    packs = list(StreamedRows(wanted).one_pass(0))
    assert sorted(texts(row for pack in packs for row in pack)) == sorted(
        f"a{i}" for i in range(500)
    )
    filled = [sum(row.length for row in pack) for pack in packs]
    assert max(filled) <= 64 and sum(filled) / (64 * len(packs)) > 0.9


def test_only_what_is_asked_for_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, "a", 3000)
    with Path(path).open("a") as file:
        file.write("no row\n")
    rows = StreamedRows(stream(path))
    assert len(list(islice(rows, 500))) == 500
    with pytest.raises(DataError, match=r"a\.jsonl:3001"):
        list(rows.one_pass(0))


def test_a_set_without_a_row_to_train_is_told(tmp_path: Path) -> None:
    path = tmp_path / "empty.jsonl"
    path.write_text(json.dumps({"instruction": "q" * 2000, "output": "a"}) + "\n")
    wanted = replace(stream(str(path)), encoder=Encoder(letters.render, Rule(16, "drop"), ""))
    with pytest.raises(DataError, match="left to train on: 1 do not fit"):
        next(iter(StreamedRows(wanted)))


def test_with_weights_a_pass_keeps_the_proportion(tmp_path: Path) -> None:
    first, second = write(tmp_path, "a", 400), write(tmp_path, "b", 400)
    entries = [{"path": first, "weight": 1}, {"path": second, "weight": 3}]
    rows = texts(StreamedRows(stream(*entries)).one_pass(0))
    counts = Counter(text[0] for text in rows)
    assert counts["b"] == 400 and 90 < counts["a"] < 180
