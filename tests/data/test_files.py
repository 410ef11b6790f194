"""The same rows come out of every format, compression and encoding, each with its place."""

import json
import os
from pathlib import Path

import pyarrow
import pyarrow.feather
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.published import data_file
from tests.written import COMPRESSIONS, FORMATS, ROWS, TEXTS, Rows, lines, table, zipped
from tuneglm.data.files import RawRow, data_files, read_rows
from tuneglm.errors import DataError

ENCODINGS = {
    "utf-8-sig": None,
    "utf-16": "UTF-16-LE",
    "utf-16-le": "UTF-16-LE",
    "utf-16-be": "UTF-16-BE",
    "utf-32": "UTF-32-LE",
    "gbk": "GBK",
    "gb18030": "GBK",
}


def values(path: Path, notes: list[str] | None = None) -> list[object]:
    return [row.value for row in read_rows(path, notes)]


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_in_every_compression(tmp_path: Path, name: str, compression: str) -> None:
    path = tmp_path / f"{name}{compression}"
    path.write_bytes(COMPRESSIONS[compression](name, FORMATS[name](ROWS)))
    rows = list(read_rows(path))
    assert {row.file for row in rows} == {str(path / name if compression == ".zip" else path)}
    assert [row.value for row in rows] == ROWS
    assert [row.number for row in rows] == [1, 2, 3]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("name", TEXTS)
def test_every_text_in_every_encoding_and_what_it_is_is_said(
    tmp_path: Path, name: str, encoding: str
) -> None:
    content = TEXTS[name](ROWS)
    path, notes = tmp_path / name, list[str]()
    path.write_bytes(content)
    expected = list(read_rows(path))
    path.write_bytes(content.decode().encode(encoding))
    assert list(read_rows(path, notes)) == expected
    recognised = ENCODINGS[encoding]
    assert notes == ([f"`{path}` is {recognised}: read as such"] if recognised else [])


@pytest.mark.parametrize("name", FORMATS)
def test_the_content_tells_what_a_file_is(tmp_path: Path, name: str) -> None:
    """Whatever it is called; only tables and plain text have no content of their own."""
    is_table = name.endswith((".csv", ".tsv"))
    for other in ["rows", "rows.json", "rows.gz"] if not is_table else [f"{name}.gz"]:
        (tmp_path / other).write_bytes(FORMATS[name](ROWS))
        assert values(tmp_path / other) == ROWS


@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl"])
@pytest.mark.parametrize("other", ["rows.txt", "rows.csv"])
def test_json_under_the_name_of_another_text_is_said(tmp_path: Path, name: str, other: str) -> None:
    path, notes = tmp_path / other, list[str]()
    path.write_bytes(TEXTS[name](ROWS))
    assert values(path, notes) == ROWS
    assert len(notes) == 1 and "holds JSON" in notes[0]


def test_a_folder_gives_its_data_files_in_order(tmp_path: Path) -> None:
    files = {
        "b.jsonl": lines(ROWS[:1]),
        "a/z.csv": table(ROWS[1:], ","),
        "c.zip": zipped({"2.jsonl": lines(ROWS[:1]), "1.jsonl": lines(ROWS[1:2])}),
        "README.md": b"words",
        "dataset_info.json": b"{}",
        ".cache/x.json": b"[",
        "a/._z.csv": b"\0",
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    notes = list[str]()
    rows = list(read_rows(tmp_path, notes))
    places = [(row.file.removeprefix(f"{tmp_path}{os.sep}"), row.line, row.number) for row in rows]
    assert places == [
        ("a/z.csv", 2, 1),
        ("a/z.csv", 3, 2),
        ("b.jsonl", 1, 1),
        ("c.zip/2.jsonl", 1, 1),
        ("c.zip/1.jsonl", 1, 1),
    ]
    assert notes == [
        f"`{tmp_path}`: by their names no data, and so not read: README.md, dataset_info.json",
        f"`{tmp_path}`: 3 files are read: a/z.csv, b.jsonl, c.zip",
    ]


def test_a_pattern_gives_the_files_that_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "more").mkdir()
    for name in ("b1.jsonl", "b2.jsonl", "c.jsonl", "part-0", "more/b3.jsonl"):
        (tmp_path / name).write_bytes(lines(ROWS))
    assert len(values(tmp_path / "b*.jsonl")) == 6
    assert len(values(tmp_path / "**" / "b?.jsonl")) == 9
    assert len(values(tmp_path / "part-*")) == 3
    assert len(values(tmp_path / "*")) == 9
    monkeypatch.chdir(tmp_path)
    assert data_files(Path("b[12].jsonl")) == [Path("b1.jsonl"), Path("b2.jsonl")]
    monkeypatch.chdir(tmp_path / "more")
    assert data_files(Path("../b[1].*")) == [Path("../b1.jsonl")]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "b[12].jsonl").write_bytes(lines(ROWS[:1]))
    assert values(Path("b[12].jsonl")) == ROWS[:1]
    with pytest.raises(DataError, match=r"No file fits `.*x\*`"):
        values(tmp_path / "x*")


def test_a_missing_file_names_a_near_one(tmp_path: Path) -> None:
    (tmp_path / "train.json").touch()
    with pytest.raises(DataError) as error:
        list(read_rows(tmp_path / "tarin.json"))
    assert error.value.hint == f"did you mean `{tmp_path / 'train.json'}`?"


def test_a_list_of_files_that_is_not_whole_says_so(tmp_path: Path) -> None:
    for number in range(9):
        (tmp_path / f"{number}.md").touch()
    with pytest.raises(DataError, match=r"0\.md.*7\.md, …"):
        list(read_rows(tmp_path / "strange"))
    with pytest.raises(DataError, match=r"holds no data file(.|\n)*0\.md.*7\.md, …"):
        list(read_rows(tmp_path))


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"folder `.*nowhere` does not exist"):
        list(read_rows(tmp_path / "nowhere" / "a.json"))


def test_a_table_of_arrow_keeps_its_kinds_of_values(tmp_path: Path) -> None:
    row = {"messages": [{"role": "user", "content": "你"}], "score": 0.5, "kind": None}
    pyarrow.feather.write_feather(pyarrow.Table.from_pylist([row]), str(tmp_path / "a.feather"))
    assert list(read_rows(tmp_path / "a.feather")) == [
        RawRow(str(tmp_path / "a.feather"), 1, 1, row)
    ]


def test_a_text_of_parquet_that_is_not_utf_8_is_one_bad_row(tmp_path: Path) -> None:
    offsets = pyarrow.array([0, 2, 4], pyarrow.int32()).buffers()[1]
    buffers = [None, offsets, pyarrow.py_buffer(b"ok\xff\xfe")]
    column = pyarrow.Array.from_buffers(pyarrow.string(), 2, buffers)
    pyarrow.parquet.write_table(pyarrow.table({"a": column}), tmp_path / "a.parquet")
    good, bad = values(tmp_path / "a.parquet")
    assert good == {"a": "ok"}
    assert str(bad) == "a text in it is not UTF-8"


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.fixed_dictionaries({"a": st.text(), "b": st.text()}), min_size=1, max_size=5),
    st.sampled_from(sorted(FORMATS)),
    st.sampled_from(sorted(COMPRESSIONS)),
)
def test_what_was_written_is_read(tmp_path: Path, rows: Rows, name: str, compression: str) -> None:
    if name.endswith((".csv", ".tsv")):
        # no table can hold these
        without = str.maketrans({"\0": "", "\ufeff": ""})
        rows = [{key: text.translate(without) for key, text in row.items()} for row in rows]
    path = tmp_path / f"{name}{compression}"
    path.write_bytes(COMPRESSIONS[compression](name, FORMATS[name](rows)))
    assert values(path) == rows


def test_real_sets_are_read_whole() -> None:
    folder = data_file("lima.json").parent
    for path in folder.glob("*.json"):
        assert values(path) == json.loads(path.read_bytes())
