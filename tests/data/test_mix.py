"""How much of which set; and which rows are kept for evaluation."""

import json
from collections import Counter
from pathlib import Path
from typing import Any, Literal

import pytest

from tests import letters
from tuneglm.config import load_config
from tuneglm.data.cutoff import Rule
from tuneglm.data.encode import Encoder
from tuneglm.data.examples import load_examples
from tuneglm.data.mix import EncodedSet
from tuneglm.data.pipeline import EncodedData, encode_data
from tuneglm.data_config import DataConfig
from tuneglm.errors import ConfigError, DataError


def write(folder: Path, name: str, count: int, **more: str) -> str:
    path = folder / f"{name}.json"
    rows = [{"instruction": f"{name}{number}", "output": "x", **more} for number in range(count)]
    path.write_text(json.dumps(rows))
    return str(path)


def load(*entries: Any, **data: Any) -> EncodedData:
    config = DataConfig.model_validate({"train": list(entries), **data})
    return encode_data(load_examples(config), Encoder(letters.render, Rule(), "letters"), config)


def given(data: EncodedData) -> dict[str, int]:
    return {each.name.removesuffix(".json"): each.rows for each in data.train.sets}


def texts(rows: Any) -> list[str]:
    return [letters.text_of(row) for row in rows]


@pytest.mark.parametrize(
    ("settings", "rows"),
    [
        ({}, {"a": 100, "b": 10}),
        ({"repeats": 3}, {"a": 100, "b": 30}),
        ({"repeats": 2.5}, {"a": 100, "b": 25}),
        ({"repeats": 0.5}, {"a": 100, "b": 5}),
        ({"share": 0.2}, {"a": 100, "b": 25}),
        # reached, and not only nearly: a row less would be 0.99% and 4.8%
        ({"share": 0.01}, {"a": 100, "b": 2}),
        ({"share": 0.05}, {"a": 100, "b": 6}),
        ({"max_rows": 4}, {"a": 100, "b": 4}),
    ],
)
def test_what_an_entry_gives(settings: Any, rows: dict[str, int], tmp_path: Path) -> None:
    first, second = write(tmp_path, "a", 100), write(tmp_path, "b", 10)
    data = load(first, {"path": second, **settings})
    assert given(data) == rows
    assert len(data.train.rows) == sum(rows.values())
    often = Counter(text for text in texts(data.train.rows) if text.startswith("b"))
    assert max(often.values()) - min(often.values()) <= 1


def test_sets_with_weights_are_in_proportion(tmp_path: Path) -> None:
    entries = [
        {"path": write(tmp_path, name, count), "weight": weight}
        for name, count, weight in (("a", 100, 1), ("b", 60, 2), ("c", 500, 4))
    ]
    assert given(load(*entries)) == {"a": 30, "b": 60, "c": 120}


def test_rows_of_an_answer_each_are_told_apart_from_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    rows = [{"instruction": f"{i}", "output": "x", "history": [["q", "r"]]} for i in range(5)]
    path.write_text(json.dumps(rows))
    config = DataConfig.model_validate({"train": str(path)})
    counts = []
    sides: tuple[Literal["all", "one"], ...] = ("all", "one")
    for answers in sides:
        encoder = Encoder(letters.render, Rule(answers_per_row=answers), "letters")
        train = encode_data(load_examples(config), encoder, config).train
        assert isinstance(train, EncodedSet)
        counts.append((len(train.rows), train.sources))
    assert counts == [(5, None), (10, 5)]


def test_a_share_is_of_all_rows(tmp_path: Path) -> None:
    entries = [
        write(tmp_path, "a", 70),
        {"path": write(tmp_path, "b", 3), "share": 0.1},
        {"path": write(tmp_path, "c", 400), "share": 0.2},
    ]
    assert given(load(*entries)) == {"a": 70, "b": 10, "c": 20}
    with pytest.raises(DataError, match="other sets give no rows"):
        load(entries[1])
    with pytest.raises(ValueError, match=r"add up to 1\.1"):
        load(entries[0], {**entries[1], "share": 0.9}, entries[2])  # type: ignore[dict-item]


def test_a_row_stays_on_its_side_when_others_are_added(tmp_path: Path) -> None:
    few, many = write(tmp_path, "a", 100), write(tmp_path, "a", 100)

    def held(path: str) -> set[str]:
        data = load(path, evaluation_share=0.2)
        assert data.evaluation is not None
        assert not set(texts(data.evaluation.rows)) & set(texts(data.train.rows))
        return set(texts(data.evaluation.rows))

    before = held(few)
    after = held(write(tmp_path, "a", 200))
    assert many and 8 <= len(before) <= 34
    assert before == {text for text in after if int(text[1:-1]) < 100}


def test_a_number_of_rows_for_evaluation(tmp_path: Path) -> None:
    data = load(write(tmp_path, "a", 100), evaluation_rows=7)
    assert data.evaluation is not None
    assert (len(data.train.rows), len(data.evaluation.rows)) == (93, 7)


def test_rows_that_are_only_held_are_not_for_evaluation(tmp_path: Path) -> None:
    learnt, kept, held = (write(tmp_path, name, 100) for name in "abc")
    for settings, name in (({"path": kept, "replay": True}, "b"), ({"path": kept}, "ab")):
        data = load(learnt, settings, {"path": held, "replay": "hold"}, evaluation_rows=20)
        assert data.evaluation is not None
        assert {text[0] for text in texts(data.evaluation.rows)} == set(name)
        assert {row.replay for row in data.train.rows if letters.text_of(row)[0] == "c"} == {"hold"}


def test_copies_of_a_row_are_on_one_side(tmp_path: Path) -> None:
    path = tmp_path / "copies.json"
    rows = [{"instruction": f"Q {number}", "output": "x"} for number in range(50)]
    copies = [{"instruction": f"q  {number}\n", "output": "X"} for number in range(50)]
    path.write_text(json.dumps([*rows, *copies]))
    data = load(str(path), evaluation_share=0.3)
    assert data.evaluation is not None
    bare = [
        {"".join(text.split()).lower() for text in texts(side.rows)}
        for side in (data.train, data.evaluation)
    ]
    assert not bare[0] & bare[1]
    assert len(data.evaluation.rows) == 2 * len(bare[1])


def test_too_few_rows_of_identity_are_told_with_what_mends_it(tmp_path: Path) -> None:
    general, own = write(tmp_path, "a", 2000), write(tmp_path, "identity", 10, kind="identity")
    (note,) = load(general, own).notes
    assert "share: 0.05" in note and "0.498%" in note
    assert not load(general, {"path": own, "share": 0.05}).notes
    assert not load(own).notes


def test_a_set_that_waits_for_a_name_is_one_of_identity(tmp_path: Path) -> None:
    """Its rows say nothing of their kind: by 80 among 40,080 rows nobody learnt a name."""
    general = write(tmp_path, "a", 2000)
    (tmp_path / "self_cognition.json").write_text(
        json.dumps([{"instruction": f"Who? {i}", "output": "I am <NAME>."} for i in range(4)])
    )
    entry = {"name": "self_cognition", "replace": {"<NAME>": "星河"}}
    (note,) = load(general, entry, dir=str(tmp_path)).notes
    assert "`self_cognition` is 0.2%" in note and "{name: self_cognition, share: 0.05}" in note


def test_all_rows_for_evaluation_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none is left to train on"):
        load(write(tmp_path, "a", 5), evaluation_rows=5)


def test_rows_that_are_evaluated_with_are_not_trained_on(tmp_path: Path) -> None:
    train, held = write(tmp_path, "a", 30), tmp_path / "held.json"
    held.write_text(json.dumps(json.loads(Path(train).read_text())[:10]))
    data = load(train, evaluation=[str(held)])
    assert data.evaluation is not None
    assert (len(data.train.rows), len(data.evaluation.rows)) == (20, 10)
    assert any("10 rows of data.train are in data.evaluation too" in note for note in data.notes)
    with pytest.raises(DataError, match="Every row of"):
        load(train, evaluation=[train])


@pytest.mark.parametrize("more", ["repeats: 2", "weight: 1"])
def test_a_share_and_another_amount_are_refused(more: str) -> None:
    with pytest.raises(ConfigError, match="give one of the three"):
        load_config(None, ["model.path=m", f"data.train=[{{path: a, share: 0.1, {more}}}]"])


def test_nothing_to_train_on_is_an_error_though_something_is_evaluated_with(
    tmp_path: Path,
) -> None:
    with pytest.raises(DataError, match="nothing to train on"):
        load(evaluation=[write(tmp_path, "a", 5)])


def test_rows_that_differ_in_case_or_white_space_are_no_copies_of_each_other(
    tmp_path: Path,
) -> None:
    """They are on one side of the split; but in code both matter."""
    path = tmp_path / "code.json"
    answers = ("if a:\n    b\nc", "if a:\n    b\n    c", "IF A: B C")
    path.write_text(json.dumps([{"instruction": "code", "output": each} for each in answers]))
    data = load(str(path), bad_rows="skip")
    assert len(data.train.rows) == 3


def test_skipping_copies_leaves_the_rows_to_evaluate_with(tmp_path: Path) -> None:
    train, held = write(tmp_path, "a", 30), tmp_path / "held.json"
    held.write_text(json.dumps(json.loads(Path(train).read_text())[:10]))
    data = load(train, evaluation=[str(held)], bad_rows="skip")
    assert data.evaluation is not None
    assert (len(data.train.rows), len(data.evaluation.rows)) == (20, 10)
