"""Rows in tokens: figures of a cutoff, and rows that do not end."""

from pathlib import Path

import numpy as np
import pytest

from tests import letters
from tests.planted import as_line
from tuneglm.data.check import check
from tuneglm.data.cutoff import Rule
from tuneglm.data.encode import Encoder
from tuneglm.data.lengths import Lengths, cutoff_for, histogram, length_notes, measured
from tuneglm.data_config import DataConfig


def lengths(folder: Path, *answers: str, ends: tuple[int, ...], rule: Rule) -> Lengths:
    path = folder / "rows.jsonl"
    rows = (as_line(instruction=f"{n}", output=answer) for n, answer in enumerate(answers))
    path.write_bytes(b"\n".join(rows))
    config = DataConfig.model_validate({"train": str(path), "workers": 1})
    sets = check(config, lambda _: None).sets
    encoder = Encoder(letters.render, rule, "letters")
    (found,) = measured(sets, encoder, ends, config, lambda _, __: None)
    return found


ENDS = (letters.END,)


def test_rows_keep_their_full_length_and_are_counted_where_they_are_cut(tmp_path: Path) -> None:
    rule = Rule(cutoff=40)
    found = lengths(tmp_path, "a", "b" * 100, "c" * 10, ends=ENDS, rule=rule)
    assert found.full.tolist()[1] - found.full.tolist()[0] == 99
    assert (found.count, found.cut, found.answers_cut) == (3, 1, 1)
    nothing = np.zeros(3, bool)
    (note,) = length_notes(found, nothing)
    assert (note.source.line, note.problem) == (2, "answer_cut")
    assert list(length_notes(found, np.array([False, True, False]))) == []


def test_rows_that_would_be_dropped_have_a_length_too(tmp_path: Path) -> None:
    rule = Rule(cutoff=40, over_cutoff="drop")
    found = lengths(tmp_path, "a", "b" * 100, ends=ENDS, rule=rule)
    assert found.count == len(found.full) == 2


def test_rows_without_an_end_are_named(tmp_path: Path) -> None:
    found = lengths(tmp_path, "a", "b", ends=(999_999,), rule=Rule())
    assert [note.problem for note in length_notes(found, np.zeros(2, bool))] == ["no_end", "no_end"]


@pytest.mark.parametrize("dropped", [0, 1, 2, 50])
def test_the_least_cutoff_that_cuts_one_in_a_hundred(tmp_path: Path, dropped: int) -> None:
    found = lengths(tmp_path, "a", ends=ENDS, rule=Rule())
    full = np.arange(1, 201)
    many = Lengths(found.scanned, found.rows, full, Rule(128), dropped, full > 999)
    cutoff = cutoff_for(many)
    if dropped > 2:
        assert cutoff is None
        return
    assert cutoff is not None
    assert (full > cutoff).sum() + dropped <= 2 < (full > cutoff - 8).sum() + dropped


@pytest.mark.parametrize("longest", [1, 63, 64, 5000, 10**6])
def test_a_histogram_holds_every_row_once(tmp_path: Path, longest: int) -> None:
    found = lengths(tmp_path, "a", ends=ENDS, rule=Rule())
    full = np.random.default_rng(1).integers(1, longest + 1, 500)
    bars = histogram(Lengths(found.scanned, found.rows, full, Rule(128), 3, full > 10**9))
    assert sum(bar.rows for bar in bars) == 503
    for bar in bars[:-1]:
        assert bar.end is not None
        assert bar.rows == ((full >= bar.start) & (full < bar.end)).sum()
