"""From the names and files of a run to examples."""

import json
from pathlib import Path

import pytest

from tests.published import data_file
from tuneglm.config import DataConfig
from tuneglm.data.examples import load_examples
from tuneglm.data.registry import registered_sets
from tuneglm.errors import DataError

ROW = {"instruction": "a", "input": "", "output": "b"}


def write(path: Path, *rows: object) -> Path:
    path.write_text(json.dumps(list(rows), ensure_ascii=False), encoding="utf-8")
    return path


def load(**options: object) -> list[str]:
    examples = load_examples(DataConfig.model_validate(options)).train
    return ["/".join(message.content for message in example.messages) for example in examples]


def test_several_sets_in_their_order(tmp_path: Path) -> None:
    first = write(tmp_path / "first.json", ROW, {**ROW, "input": "i"})
    second = write(tmp_path / "second.json", {**ROW, "history": [["q", "r"]]})
    assert load(train=[str(first), str(second)]) == ["a/b", "a\ni/b", "q/r/a/b"]


@pytest.mark.parametrize("name", registered_sets())
def test_a_registered_name_is_its_set_whatever_lies_here(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also with a dot in it, and beside a file or folder of that name."""
    registered = registered_sets()[name]
    columns = {"instruction": "instruction", "output": "output", **registered.columns}
    row = {columns["instruction"]: "registered", columns["output"]: "b"}
    (tmp_path / "data").mkdir()
    write(tmp_path / "data" / registered.file, row)
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()
    assert load(train=name) == ["registered/b"]
    (tmp_path / name).rmdir()
    write(tmp_path / name, {**ROW, "instruction": "file"})
    assert load(train=[name]) == ["registered/b"]
    assert load(train=[f"./{name}"]) == ["file/b"]


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


def test_a_bad_row_stops_the_run_or_is_listed(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(f'{json.dumps(ROW)}\n{{"instruction": "a"}}\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"rows\.jsonl:2`.*output"):
        load(train=[str(path)])
    loaded = load_examples(DataConfig.model_validate({"train": [str(path)], "bad_rows": "skip"}))
    assert len(loaded.train) == 1
    assert [problem.source.line for problem in loaded.skipped] == [2]


def test_a_row_on_a_line_with_others_has_its_number(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.json", ROW, ROW, {"instruction": "a"})
    with pytest.raises(DataError, match=r"rows\.json:1, row 3`"):
        load(train=[str(path)])


def test_a_row_stays_on_its_side_when_others_are_added(tmp_path: Path) -> None:
    rows = [{**ROW, "instruction": str(number)} for number in range(200)]
    few = write(tmp_path / "few.json", *rows[:100])
    many = write(tmp_path / "many.json", *rows)

    def held(path: Path) -> set[str]:
        config = DataConfig.model_validate({"train": [str(path)], "evaluation_share": 0.2})
        loaded = load_examples(config)
        assert len(loaded.train) + len(loaded.evaluation) == len(json.loads(path.read_text()))
        return {example.messages[0].content for example in loaded.evaluation}

    assert 8 <= len(held(few)) <= 34
    assert held(few) == {text for text in held(many) if int(text) < 100}


def test_a_set_that_is_not_here_says_where_to_put_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tuneglm.hub._answers", lambda hub: False)
    for name, registered in registered_sets().items():
        with pytest.raises(DataError, match="is not here") as caught:
            load(train=[name], dir=str(tmp_path))
        assert str(tmp_path) in str(caught.value)
        assert registered.pages()
        assert all(page in str(caught.value) for page in registered.pages())


def test_real_sets_are_read_whole() -> None:
    folder = data_file("lima.json").parent
    multi_turn = [text for text in load(train=[str(folder / "lima.json")]) if text.count("/") >= 3]
    assert multi_turn
    assert len(load(train=[str(folder / "alpaca_zh_demo.json")])) == 1000
