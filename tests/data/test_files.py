"""Files are read row by row, and every way they can be broken has its sentence."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tuneglm.data.files import read_rows
from tuneglm.data.formats import RowError
from tuneglm.errors import DataError

ROWS = [{"a": "一"}, {"a": "two\nlines"}]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "my.json"


def read(file: Path, content: bytes | str) -> list[tuple[int, object]]:
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(read_rows(file))


def problem(file: Path, content: bytes | str) -> DataError:
    with pytest.raises(DataError) as error:
        read(file, content)
    return error.value


def test_a_list_and_lines_are_told_apart_by_content(file: Path) -> None:
    assert read(file, json.dumps(ROWS)) == [(1, ROWS[0]), (1, ROWS[1])]
    lines = "\n".join(json.dumps(row) for row in ROWS)
    assert read(file, lines) == [(1, ROWS[0]), (2, ROWS[1])]


def test_the_line_of_a_row_is_its_line_in_the_file(file: Path) -> None:
    assert [line for line, _ in read(file, '\n[\n  {"a": 1,\n"b": 2},\n\n  {"a": 3}]')] == [3, 6]
    assert [line for line, _ in read(file, '\n{"a": 1}\r\n\n  {"a": 2}  \n\n')] == [2, 4]


@pytest.mark.parametrize("content", [json.dumps(ROWS), '{"a": "é"}\n{"a": "b"}'])
def test_a_byte_order_mark_is_ignored(file: Path, content: str) -> None:
    assert read(file, b"\xef\xbb\xbf" + content.encode()) == read(file, content)


def test_a_separator_of_unicode_is_no_line_end(file: Path) -> None:
    assert read(file, '{"a": "x\u2028y"}\n{"a": "\x85"}')[1] == (2, {"a": "\x85"})


def test_an_empty_list_has_no_rows(file: Path) -> None:
    assert read(file, " [ ] \n") == []


def test_a_pipe_can_be_read(tmp_path: Path) -> None:
    read_end, write_end = os.pipe()
    os.write(write_end, b'{"a": 1}\n')
    os.close(write_end)
    try:
        assert list(read_rows(Path(f"/dev/fd/{read_end}"))) == [(1, {"a": 1})]
    finally:
        os.close(read_end)


def test_reading_stops_when_the_caller_does(file: Path) -> None:
    file.write_text('[{"a": 1}, oops')
    assert next(read_rows(file)) == (1, {"a": 1})


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "`{file}` is empty."),
        (" \n\n", "`{file}` is empty."),
        (
            '\n"text"',
            "`{file}:2`: expected a list `[{{…}}, …]` or one object `{{…}}` a line, "
            'found `"text"`.',
        ),
        (
            '[\n{"a": 1},\n{"a": "tw',
            "`{file}:3`: the file ends in the middle of the list: it is cut short.",
        ),
        ('[{"a": 1}', "`{file}:1`: the file ends in the middle of the list: it is cut short."),
        (
            '[{"a": 1}\n{"a": 2}]',
            '`{file}:2`: not JSON: expected `,` or `]` after a row, found `{{"a": 2}}]` '
            "in column 1.",
        ),
        (
            '[{"a": 1}]\n[]',
            "`{file}:2`: not JSON: expected nothing after the list, found `[]` in column 1.",
        ),
        ("[" * 100_000, "`{file}:1`: not JSON: nested too deeply, found"),
        (f"[{'9' * 5000}]", "`{file}:1`: not JSON: a number with too many digits, found"),
        (b"\x1f\x8b\x08", "`{file}` is compressed by gzip."),
        ("version https://git-lfs.github.com/spec/v1\n", "`{file}` is a git-lfs pointer"),
        ("<!DOCTYPE html>", "`{file}` is a web page or XML"),
        ('[{"a": 1}]'.encode("utf-16"), "`{file}` is UTF-16, not UTF-8."),
        ('{"a": 1}'.encode("utf-16-le"), "`{file}` is UTF-16, not UTF-8."),
    ],
)
def test_an_unreadable_file_says_why_and_where(
    file: Path, content: bytes | str, sentence: str
) -> None:
    assert str(problem(file, content)).startswith(sentence.format(file=file))


def test_gbk_is_recognised(file: Path) -> None:
    error = problem(file, '[\n{"a": "你好，世界"}]'.encode("gbk"))
    assert error.sentence == f"`{file}:2`: byte 10 of the file is not UTF-8."
    assert error.hint is not None and "iconv -f GBK -t UTF-8" in error.hint


def test_a_damaged_byte_is_not_taken_for_gbk(file: Path) -> None:
    error = problem(file, '["你好'.encode() + b"\xff" + b'"]')
    assert error.sentence == f"`{file}:1`: byte 9 of the file is not UTF-8."
    assert error.hint is not None and "damaged" in error.hint


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ('{"a": 1', "the row is not complete on this line"),
        ('{"a": 1},', "expected the end of the line after the object, found `,`"),
        (b'{"a": "\xc4\xe3"}', "byte 17 of the file is not UTF-8"),
        ("{'a': 1}", "not JSON: expecting property name enclosed in double quotes"),
    ],
)
def test_a_broken_line_is_one_bad_row(file: Path, line: bytes | str, sentence: str) -> None:
    data = line.encode() if isinstance(line, str) else line
    first, broken, last = read(file, b'{"a": 0}\n' + data + b'\n{"a": 2}')
    assert (first, last) == ((1, {"a": 0}), (3, {"a": 2}))
    assert broken[0] == 2
    assert isinstance(broken[1], RowError) and broken[1].sentence.startswith(sentence)


def test_an_object_over_several_lines_is_told_how_to_be_written(file: Path) -> None:
    row = read(file, '{\n  "a": 1\n}\n')[0][1]
    assert isinstance(row, RowError) and "on one line" in row.remedy


def test_a_missing_file_names_a_near_one(tmp_path: Path) -> None:
    (tmp_path / "train.json").touch()
    with pytest.raises(DataError) as error:
        list(read_rows(tmp_path / "tarin.json"))
    assert error.value.hint == f"did you mean `{tmp_path / 'train.json'}`?"


def test_a_list_of_files_that_is_not_whole_says_so(tmp_path: Path) -> None:
    for number in range(9):
        (tmp_path / f"{number}.json").touch()
    for path in (tmp_path, tmp_path / "strange"):
        with pytest.raises(DataError, match=r"0\.json.*7\.json, …$"):
            list(read_rows(path))


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"folder `.*nowhere` does not exist"):
        list(read_rows(tmp_path / "nowhere" / "a.json"))


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").touch()
    with pytest.raises(DataError, match=r"is a folder(.|\n)*it holds: a.jsonl"):
        list(read_rows(tmp_path))


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=200)
    | st.text(alphabet='[]{},:"\\nulltrue0-9eE+.\n \ud7ff', max_size=60).map(str.encode)
)
def test_random_bytes_give_rows_or_a_data_error(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    try:
        rows = list(read_rows(file))
    except DataError:
        return
    assert all(1 <= line <= content.count(b"\n") + 1 for line, _ in rows)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.dictionaries(st.text(max_size=5), st.text() | st.integers(), max_size=3)),
    st.sampled_from([None, 0, 2]),
)
def test_what_was_written_is_read(
    file: Path, rows: list[dict[str, object]], indent: int | None
) -> None:
    assert [row for _, row in read(file, json.dumps(rows, indent=indent))] == rows
