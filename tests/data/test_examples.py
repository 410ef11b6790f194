"""From the names and files of a run to examples."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests import letters
from tests.published import data_file
from tuneglm.data.check import check
from tuneglm.data.cutoff import Rule
from tuneglm.data.encode import Encoder
from tuneglm.data.example_set import ExampleSet, RowProblem
from tuneglm.data.examples import load_examples
from tuneglm.data.messages import Example
from tuneglm.data.pipeline import encode_data
from tuneglm.data.stats import stats
from tuneglm.data_config import DataConfig
from tuneglm.errors import DataError

ROW = {"instruction": "a", "input": "", "output": "b"}


def write(path: Path, *rows: object) -> Path:
    path.write_text(json.dumps(list(rows), ensure_ascii=False), encoding="utf-8")
    return path


def load(**options: object) -> list[str]:
    sets = load_examples(DataConfig.model_validate(options)).train
    return ["/".join(message.content for message in one.messages) for one in usable(sets)]


def usable(sets: Sequence[ExampleSet]) -> list[Example]:
    return [one for each in sets for one in each.examples() if isinstance(one, Example)]


def test_several_sets_in_their_order(tmp_path: Path) -> None:
    first = write(tmp_path / "first.json", ROW, {**ROW, "input": "i"})
    second = write(tmp_path / "second.json", {**ROW, "history": [["q", "r"]]})
    assert load(train=[str(first), str(second)]) == ["a/b", "a\ni/b", "q/r/a/b"]


def test_a_word_that_no_set_has_may_be_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "my.json", ROW)
    write(tmp_path / "my", ROW)
    assert load(train="my.json,my") == ["a/b", "a/b"]
    with pytest.raises(DataError, match=r"no file `your\.json`"):
        load(train="your.json")


def test_columns_of_another_name_and_texts_to_fill(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.json", {"q": "who?", "a": "<NAME>"})
    entry = {"path": str(path), "columns": {"instruction": "q", "output": "a"}}
    assert load(train=[{**entry, "replace": {"<NAME>": "星河"}}]) == ["who?/星河"]
    with pytest.raises(DataError, match="no column of ours"):
        load(train=[{**entry, "columns": {"instrction": "q"}}])


def test_rows_of_some_kinds_only(tmp_path: Path) -> None:
    kinds = ["NLI", "Poem", "NLI", "Poem", "Poem"]
    rows = [{"kind": kind, "input": str(i), "target": "t"} for i, kind in enumerate(kinds)]
    path = str(write(tmp_path / "firefly.json", *rows))
    assert load(train=[{"path": path, "kinds": "NLI"}]) == ["0/t", "2/t"]
    assert load(train=[{"path": path, "kinds": ["Poem"], "max_rows": 2}]) == ["1/t", "3/t"]
    drawn = load(train=[{"path": path, "kinds": ["Poem", "NLI"], "max_rows": 5, "seed": 1}])
    assert len(drawn) == 5
    other = [{**row, "task": row.pop("kind")} for row in rows]
    path = str(write(tmp_path / "other.json", *other))
    entry = {"path": path, "columns": {"kind": "task"}, "kinds": ["NLI"]}
    assert load(train=[entry]) == ["0/t", "2/t"]


def test_a_kind_that_no_row_is_of_is_named_with_the_one_that_was_meant(tmp_path: Path) -> None:
    rows = [{"kind": kind, "input": "q", "target": "t"} for kind in ("NLI", "Poem")]
    path = str(write(tmp_path / "firefly.json", *rows))
    for kinds, hint in (
        (["NLI", "Poems"], "did you mean `Poem`?"),
        (["圆"], "its kinds: NLI, Poem"),
    ):
        config = DataConfig.model_validate({"train": [{"path": path, "kinds": kinds}]})
        encoder = Encoder(letters.render, Rule(), "letters")
        with pytest.raises(DataError, match=f"of the kind `{kinds[-1]}`") as refused:
            encode_data(load_examples(config), encoder, config)
        with pytest.raises(DataError, match=f"of the kind `{kinds[-1]}`"):
            stats(config, encoder)
        assert refused.value.hint == hint
        problems: list[RowProblem] = []
        check(config, problems.append)
        ((problem, remedy),) = [(one.problem, one.remedy) for one in problems]
        assert (problem, remedy) == ("no_rows", hint)


def test_files_of_unlike_formats_in_a_folder_are_sets_of_their_own(tmp_path: Path) -> None:
    """Said once, and not for each row; a file of another order of columns is no other format."""
    first = write(tmp_path / "a.json", ROW)
    write(tmp_path / "b.json", {"output": "b", "instruction": "a", "more": 1})
    write(tmp_path / "c.json", *[ROW] * 9)
    assert load(train=[str(tmp_path)]) == ["a/b"] * 11
    turns = [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]
    other = write(tmp_path / "g.json", *[{"conversations": turns}] * 3)
    problems: list[RowProblem] = []
    with pytest.raises(DataError, match=r"g\.json` looks like ShareGPT") as refused:
        load(train=[str(tmp_path)])
    assert f"data.train=[{other}, OTHERS]" in str(refused.value.hint)
    both = DataConfig.model_validate({"train": [str(tmp_path), str(first)]})
    check(both, problems.append)
    assert [one.problem for one in problems if one.problem != "duplicate"] == ["missing_column"]


def test_a_file_is_recognised_and_that_is_said(tmp_path: Path) -> None:
    turns = [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]
    path = write(tmp_path / "chats.json", {"conversations": turns})
    other = write(tmp_path / "other.json", {"问题": "1", "回答": "2"})
    files = [str(path), str(other), {"path": str(path), "max_rows": 1}]
    assert load(train=files) == ["q/a", "1/2", "q/a"]
    sets = load_examples(DataConfig.model_validate({"train": files}))
    assert sets.readings == (
        "`chats.json`: ShareGPT conversations (`conversations` with from/value)",
        "`other.json`: Alpaca rows (`问题` as `instruction`, `回答` as `output`)",
    )


def test_a_format_that_is_given_is_not_looked_for(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.json", {**ROW, "output": "1\\n2", "text": "t"})
    assert load(train=[{"path": str(path), "format": "belle_math"}]) == ["a/1\n2"]
    assert load(train=[{"path": str(path), "format": "text"}]) == ["t"]
    with pytest.raises(DataError, match="no format `alpacca`"):
        load(train=[{"path": str(path), "format": "alpacca"}])
    given = DataConfig.model_validate({"train": [{"path": str(path), "format": "alpaca"}]})
    assert load_examples(given).readings == ()


def test_a_file_that_no_format_fits_is_refused_before_its_rows(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.json", {"a": 1, "b": 2})
    with pytest.raises(DataError, match="No format fits the rows"):
        load(train=[str(path)], bad_rows="skip")


def test_a_row_that_cannot_be_used_is_told_with_its_place(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.json", ROW, ROW, {"instruction": "a"})
    (examples,) = load_examples(DataConfig.model_validate({"train": str(path)})).train
    *_, problem = examples.examples()
    assert isinstance(problem, RowProblem)
    assert str(problem).startswith(f"`{path}:1, row 3`") and "output" in problem.sentence


def test_some_rows_the_first_or_any(tmp_path: Path) -> None:
    rows = [{**ROW, "instruction": str(number)} for number in range(50)]
    entry = {"path": str(write(tmp_path / "rows.json", *rows)), "max_rows": 5}
    assert load(train=[entry]) == [f"{number}/b" for number in range(5)]
    drawn = load(train=[{**entry, "seed": 1}])
    assert len(set(drawn)) == 5 and drawn == sorted(drawn, key=lambda text: int(text[:-2]))
    assert drawn == load(train=[{**entry, "seed": 1}]) != load(train=[{**entry, "seed": 2}])


def test_real_sets_are_read_whole() -> None:
    folder = data_file("lima.json").parent
    multi_turn = [text for text in load(train=[str(folder / "lima.json")]) if text.count("/") >= 3]
    assert multi_turn
    assert len(load(train=[str(folder / "alpaca_zh_demo.json")])) == 1000
