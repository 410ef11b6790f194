"""JSON is read row by row, and every way it can be broken has its sentence."""

import json
import os
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tuneglm.data.columns import RowError
from tuneglm.data.files import RawRow, read_rows
from tuneglm.errors import DataError

ROWS = [{"a": "一"}, {"a": "two\nlines"}]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "my.json"


def read(file: Path, content: bytes | str) -> list[tuple[int, object]]:
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return [(row.line, row.value) for row in read_rows(file)]


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


@pytest.mark.parametrize("blank", ["", "\r\n"])
def test_with_the_line_ends_of_windows_a_bad_row_is_not_the_one_before_it(
    file: Path, blank: str
) -> None:
    bad, good = '{"a": }\r\n', '{"a": 1}\r\n'
    found = read(file, blank + bad + good + "\r\n" + good + bad)
    first = 2 if blank else 1
    assert [line for line, _ in found] == [first, first + 1, first + 3, first + 4]
    assert [isinstance(row, RowError) for _, row in found] == [True, False, False, True]


@pytest.mark.parametrize("content", [json.dumps(ROWS), '{"a": "é"}\n{"a": "b"}'])
def test_a_byte_order_mark_is_ignored(file: Path, content: str) -> None:
    assert read(file, b"\xef\xbb\xbf" + content.encode()) == read(file, content)


def test_a_separator_of_unicode_is_no_line_end(file: Path) -> None:
    assert read(file, '{"a": "x\u2028y"}\n{"a": "\x85"}')[1] == (2, {"a": "\x85"})


BROKEN = [
    ('{"a": "x, "b": 2}', "expecting `,` delimiter, found `b"),
    ('{"a": "x"', "a `}` is missing before the `,` at the end of line "),
    ('{"a": "x\n"}', 'a quote is not closed on its line, found `"x` in column '),
    ("oops", "expecting value, found `oops"),
    ('{"a": 1} {"a": 2}', "expected `,` or `]` after a row"),
]


@pytest.mark.parametrize("indent", ["", "  ", "\t"])
@pytest.mark.parametrize(("broken", "sentence"), BROKEN)
def test_where_each_row_begins_a_line_one_broken_row_is_one(
    file: Path, broken: str, sentence: str, indent: str
) -> None:
    good = f'{indent}{{"a":\n{indent}    [{{"b": 1}}]}}'
    rows = f",\n{indent}".join([good.strip(), broken, good.strip(), broken, good.strip()])
    found = read(file, f"[\n{indent}{rows}\n]")
    problems = [(line, value) for line, value in found if isinstance(value, RowError)]
    lines = [4, 7] if "\n" not in broken else [4, 8]
    assert [line for line, _ in problems] == lines
    assert all(sentence in value.sentence for _, value in problems), problems
    assert [value for _, value in found].count({"a": [{"b": 1}]}) == 3


def test_a_broken_row_is_passed_over_wherever_the_file_is_cut_into_parts(file: Path) -> None:
    rows = [json.dumps({"a": "x" * 5000, "n": number}) for number in range(300)]
    rows[100] = rows[100][:-1]
    found = read(file, "[\n  " + ",\n  ".join(rows) + "\n]")
    assert [line for line, value in found if isinstance(value, RowError)] == [102]
    numbers = [value["n"] for _, value in found if isinstance(value, dict)]
    assert numbers == [number for number in range(300) if number != 100]


def test_in_a_file_of_lines_a_line_that_is_a_list_is_one_bad_row(tmp_path: Path) -> None:
    file = tmp_path / "my.jsonl"
    assert read(file, '["a", "b"]\n{"a": 1}') == [(1, ["a", "b"]), (2, {"a": 1})]
    assert read(file, '[{"a": 1}, {"a": 2}]\n') == [(1, {"a": 1}), (1, {"a": 2})]


def test_an_empty_list_has_no_rows(file: Path) -> None:
    assert read(file, " [ ] \n") == []


def test_a_pipe_can_be_read(tmp_path: Path) -> None:
    read_end, write_end = os.pipe()
    os.write(write_end, b'{"a": 1}\n')
    os.close(write_end)
    try:
        (row,) = read_rows(Path(f"/dev/fd/{read_end}"))
        assert row.value == {"a": 1}
    finally:
        os.close(read_end)


def test_reading_stops_when_the_caller_does(file: Path) -> None:
    file.write_text('[{"a": 1}, oops')
    assert next(read_rows(file)) == RawRow(str(file), 1, 1, {"a": 1})


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
            "`{file}:1`: not JSON: a `,` is missing at the end of line 1.",
        ),
        (
            '[{"a": 1}]\n[]',
            "`{file}:2`: not JSON: expected nothing after the list, found `[]` in column 1.",
        ),
        ("[" * 100_000, "`{file}:1`: not JSON: nested too deeply, found"),
        (
            '[{"a": 1},\n\ufeff{"a": 2}]',
            '`{file}:2`: not JSON: expecting value, found `\\ufeff{{"a": 2}}]` in column 1.',
        ),
    ],
)
def test_an_unreadable_file_says_why_and_where(
    file: Path, content: bytes | str, sentence: str
) -> None:
    assert str(problem(file, content)).startswith(sentence.format(file=file))


@pytest.mark.parametrize(
    ("element", "sentence"),
    [
        (b'{"a": NaN}', "`NaN` is no JSON number"),
        (b'{"a": [-Infinity, 1]}', "`-Infinity` is no JSON number"),
        (b'{"a": 1, "b": 2, "a": 3}', "the key `a` stands twice in one object"),
        (b'{"a": {"\\ud800": 1, "\\ud800": 2}}', "the key `\\ud800` stands twice in one object"),
        (b"9" * 5000, "a number has too many digits"),
        (b'{"a":\n"\xff"}', "line 3 of the file holds bytes that are not UTF-8"),
    ],
)
def test_an_element_whose_end_is_known_is_one_bad_row(
    file: Path, element: bytes, sentence: str
) -> None:
    first, broken, last = read(file, '[{"a": "你"},\n'.encode() + element + b',\n{"a": 2}]')
    assert (first, last[1]) == ((1, {"a": "你"}), {"a": 2})
    assert broken[0] == 2 and isinstance(broken[1], RowError)
    assert broken[1].sentence == sentence


def test_the_column_of_a_fault_is_that_of_its_line(file: Path) -> None:
    """Also where the line begins in a part of the file that is forgotten by then."""
    rows = f'{{"a": "{"x" * 200}"}}, ' * 10_000
    error = problem(file, f"[\n{rows}oops]")
    assert error.sentence.endswith(
        f":2`: not JSON: expecting value, found `oops]` in column {len(rows) + 1}."
    )


def test_rows_longer_than_the_window_are_whole(file: Path) -> None:
    rows = [{"a": "长" * size} for size in (10, 3_000_000, 20)]
    for content in (json.dumps(rows), "\n".join(map(json.dumps, rows))):
        assert [value for _, value in read(file, content)] == rows


def test_memory_does_not_grow_with_the_file(file: Path) -> None:
    row = json.dumps({"a": "x" * 4000}).encode()
    for joint, start, end in ((b",\n", b"[", b"]"), (b"\n", b"", b"")):
        file.write_bytes(start + joint.join([row] * 4_000) + end)
        tracemalloc.start()
        assert sum(1 for _ in read_rows(file)) == 4_000
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < file.stat().st_size / 4


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ('{"a": "x}', 'not JSON: a quote is not closed on its line, found `"x}` in column 7'),
        ('{"a": 1', "the row is not complete on this line"),
        ('{"a": 1},', "expected the end of the line after the object, found `,`"),
        (b'{"a": "\xff"}', "byte 17 of the file is not UTF-8"),
        ('\ufeff{"a": 1}', "a byte order mark stands before the row, in the middle of the file"),
        ('{"a": NaN}', "`NaN` is no JSON number"),
        ('{"a": 1, "a": 2}', "the key `a` stands twice in one object"),
        ('{"a": "\0"}', "not JSON: invalid control character"),
        ('{"a": "x\ty"}', "not JSON: invalid control character"),
        ("[" * 100_000, "not JSON: nested too deeply"),
        (f'{{"a": {"9" * 5000}}}', "a number has too many digits"),
        ("{'a': 1}", "not JSON: expecting property name enclosed in double quotes"),
    ],
)
def test_a_broken_line_is_one_bad_row(file: Path, line: bytes | str, sentence: str) -> None:
    data = line.encode() if isinstance(line, str) else line
    first, broken, last = read(file, b'{"a": 0}\n' + data + b'\n{"a": 2}')
    assert (first, last) == ((1, {"a": 0}), (3, {"a": 2}))
    assert broken[0] == 2
    assert isinstance(broken[1], RowError) and broken[1].sentence.startswith(sentence)


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        ('{\n  "a": 1\n}\n{\n  "a": 2\n}', "jq -c ."),
        ('{"a": 1,\n "b": 2}', "jq -c ."),
        ('{"data": [\n{"a": 1}\n]}', "the list under `data` alone should be the file"),
    ],
)
def test_an_object_over_several_lines_is_told_how_to_be_written(
    file: Path, content: str, hint: str
) -> None:
    error = problem(file, content)
    assert "found an object over several lines" in error.sentence
    assert error.hint is not None and hint in error.hint


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
    assert all(1 <= row.line <= content.count(b"\n") + 1 for row in rows)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.dictionaries(st.text(max_size=5), st.text() | st.integers(), max_size=3)),
    st.sampled_from([None, 0, 2]),
)
def test_what_was_written_is_read(
    file: Path, rows: list[dict[str, object]], indent: int | None
) -> None:
    assert [row for _, row in read(file, json.dumps(rows, indent=indent))] == rows
