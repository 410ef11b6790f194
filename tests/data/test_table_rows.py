"""Tables and plain text: each row with the line it begins on, each fault in its own row."""

from pathlib import Path

import pytest

from tuneglm.data.columns import RowError
from tuneglm.data.files import read_rows
from tuneglm.errors import DataError

GOOD = {"q": "1", "a": "2"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "my.csv"


def read(
    file: Path, content: bytes | str, notes: list[str] | None = None
) -> list[tuple[int, object]]:
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return [(row.line, row.value) for row in read_rows(file, notes)]


def test_a_cell_may_hold_lines_and_quotes(file: Path) -> None:
    rows = read(file, 'q,a\r\n"x\r\ny","say ""yes"""\r\n\r\n1,2\r\n')
    assert rows == [(2, {"q": "x\r\ny", "a": 'say "yes"'}), (5, GOOD)]


@pytest.mark.parametrize(
    "content", ["q,a\n1,2", "\ufeffq,a\n1,2\n", "\n q , a \n1,2\n\n", '"q","a"\n1,2']
)
def test_a_table_in_many_ways(file: Path, content: str) -> None:
    assert [value for _, value in read(file, content)] == [GOOD]


def test_a_long_cell_is_read(file: Path) -> None:
    assert read(file, f"q,a\n1,{'长' * 1_000_000}")[0][1] == {"q": "1", "a": "长" * 1_000_000}


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        ("1,2,3", "expected 2 cells, as the first row has, found 3"),
        ("1", "expected 2 cells, as the first row has, found 1"),
        ('1,"2', "a quote is not closed"),
        ('1,"2"3', "a quote is not closed, or stands inside of a quoted cell"),
        ("1,2\0", "it holds a zero byte, which is no text"),
        ("\ufeffq,a", "a byte order mark stands in the middle of the file"),
        (b"1,\xff", "it holds bytes that are not UTF-8"),
        ("1\r,2", "a line ends as on old Macs (`\\r`)"),
    ],
)
@pytest.mark.parametrize("rest", ["1,2\n1,2\n", '"1","2"\n1,2\n'])
def test_a_broken_row_is_one_bad_row(
    file: Path, broken: str | bytes, sentence: str, rest: str
) -> None:
    """Also where a quote that is not closed takes in the rows behind it."""
    data = broken.encode() if isinstance(broken, str) else broken
    rows = read(file, "q,a\n你,好\n".encode() + data + b"\n" + rest.encode())
    (line, error), good = rows[1], [rows[0], *rows[2:]]
    assert good == [(2, {"q": "你", "a": "好"}), (4, GOOD), (5, GOOD)]
    assert line == 3 and isinstance(error, RowError)
    assert error.sentence.startswith(sentence)


def test_every_line_with_an_open_quote_is_a_bad_row(file: Path) -> None:
    rows = read(file, "q,a\n" + '1,"2\n' * 500)
    assert [line for line, _ in rows] == list(range(2, 502))
    assert all(isinstance(value, RowError) for _, value in rows)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "`{file}` is empty."),
        ("q,a\n", "`{file}` holds one row, which names the columns, and none under it."),
        ("q,a,q\n1,2,3", "`{file}:1`: two columns are named `q`."),
        ("\n,\n1,2", "`{file}:2`: no column has a name."),
        ('q,"a\n1,2', "`{file}:1`: a quote is not closed"),
    ],
)
def test_a_table_without_rows_or_columns_says_so(file: Path, content: str, sentence: str) -> None:
    with pytest.raises(DataError) as error:
        read(file, content)
    assert error.value.sentence.startswith(sentence.format(file=file))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("my.csv", "q;a\n1;2", "semicolons"),
        ("my.csv", "q\ta\n1\t2", "tabs"),
        ("my.tsv", "q,a\n1,2", "commas"),
    ],
)
def test_other_separators_are_said(tmp_path: Path, name: str, content: str, words: str) -> None:
    notes = list[str]()
    assert read(tmp_path / name, content, notes) == [(2, GOOD)]
    assert notes == [f"`{tmp_path / name}` separates its cells by {words}: read so"]


def test_a_column_without_a_name_is_left_out_and_said(file: Path) -> None:
    notes = list[str]()
    assert read(file, ",q,a,\n0,1,2,\n", notes) == [(2, GOOD)]
    assert notes == [f"`{file}`: without a name, and so not read: column 1, 4"]


def test_a_line_of_plain_text_is_a_row(tmp_path: Path) -> None:
    notes = list[str]()
    path = tmp_path / "my.txt"
    first, bad, last = read(path, "第一行 \r\n\n".encode() + b"\xff\n[1] <p>\n", notes)
    assert (first, last) == ((1, {"text": "第一行 "}), (4, {"text": "[1] <p>"}))
    assert bad[0] == 3 and str(bad[1]) == "it holds bytes that are not UTF-8"
    assert notes == [f"`{path}` is plain text: each line is a row with the column `text`"]
