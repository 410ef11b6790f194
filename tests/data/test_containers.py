"""What data comes in: whole, damaged, or holding no data at all."""

import contextlib
import gzip
import os
import pickle
from functools import reduce
from itertools import count, product
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.written import COMPRESSIONS, FORMATS, ROWS, lines, table, zipped
from tuneglm.data.files import read_rows
from tuneglm.errors import DataError


def values(path: Path, notes: list[str] | None = None) -> list[object]:
    return [row.value for row in read_rows(path, notes)]


def problem(path: Path, content: bytes) -> DataError:
    path.write_bytes(content)
    with pytest.raises(DataError) as error:
        list(read_rows(path))
    return error.value


def test_what_lies_beside_the_data_in_a_zip_is_left_out_and_said(tmp_path: Path) -> None:
    path, notes = tmp_path / "a.zip", list[str]()
    content = {"__MACOSX/._rows.csv": b"\0", "data/rows.jsonl": lines(ROWS), "README.txt": b"words"}
    path.write_bytes(zipped(content))
    assert values(path, notes) == ROWS
    left = "by their names no data, and so not read: __MACOSX/._rows.csv, README.txt"
    assert notes == [f"`{path}`: {left}"]


def test_chinese_names_in_a_zip_are_readable(tmp_path: Path) -> None:
    """Windows writes them in its own encoding, without a mark."""
    path = tmp_path / "a.zip"
    stand_in = "\xca\xfd\xbe\xdd.jsonl".encode("latin-1").decode("cp437")
    content = zipped({"####.jsonl": lines(ROWS)})
    path.write_bytes(content.replace(b"####", stand_in.encode("cp437")[:4]))
    assert next(read_rows(path)).file == str(path / "数据.jsonl")


def test_a_file_within_two_compressions_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(zipped({"rows.csv.gz": gzip.compress(table(ROWS, ","))}))
    assert values(tmp_path / "a.zip") == ROWS
    joined = gzip.compress(lines(ROWS)) + gzip.compress(lines(ROWS))
    (tmp_path / "rows.jsonl.gz").write_bytes(joined)
    assert values(tmp_path / "rows.jsonl.gz") == ROWS * 2


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.parquet"])
@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_pipe_can_be_anything(name: str, compression: str) -> None:
    read_end, write_end = os.pipe()
    os.write(write_end, COMPRESSIONS[compression](name, FORMATS[name](ROWS)))
    os.close(write_end)
    try:
        assert values(Path(f"/dev/fd/{read_end}")) == ROWS
    finally:
        os.close(read_end)


@pytest.mark.parametrize(
    ("name", "compression"),
    [
        (name, compression)
        for name, compression in product(FORMATS, COMPRESSIONS)
        # a table that is cut may be whole; a line that is cut is one bad row
        if compression or name not in ("rows.csv", "rows.tsv", "rows.jsonl")
    ],
)
def test_a_file_cut_short_says_so(tmp_path: Path, name: str, compression: str) -> None:
    """Some rows may come out before; what was cut is never passed over."""
    rows = ROWS + [{"instruction": str(number), "output": str(-number)} for number in range(2000)]
    data = COMPRESSIONS[compression](name, FORMATS[name](rows))
    for length in (len(data) // 2, len(data) - 9):
        error = problem(tmp_path / f"{name}{compression}", data[:length])
        assert "cut" in str(error)


@pytest.mark.parametrize(
    ("content", "sentence", "hint"),
    [
        (b"", "is empty.", "expected a list"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a git-lfs pointer", "git lfs pull"),
        (b"<!DOCTYPE html>", "is a web page or XML", "`raw`"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "is an Excel file (.xls).", "CSV UTF-8"),
        (zipped({"xl/workbook.xml": b""}), "is an Excel workbook.", "CSV UTF-8"),
        (zipped({"word/document.xml": b""}), "is an office document", "CSV"),
        (zipped({"a.png": b"", "b.png": b""}), "holds no data file.", "it holds: a.png, b.png"),
        (zipped({}), "holds no data file.", "it is empty"),
        (b"Rar!\x1a\x07\x01\0", "is a RAR archive.", "unpack it first"),
        (b"\0" * 257 + b"ustar\0", "is a tar archive.", "tar -xf"),
        (gzip.compress(b"\0" * 257 + b"ustar\0", mtime=0), "is a tar archive.", "tar -xf"),
        (gzip.compress(b"", mtime=0), "is empty.", "expected a list"),
        (pickle.dumps([{"a": 1}]), "is a pickle", "JSON lines"),
        (b"PAR1", "cannot be read as Parquet from its beginning", "cut short"),
        (b"ARROW1\0\0", "cannot be read as Arrow from its beginning", "cut short"),
        (b"\xff\xff\xff\xff\x10\0\0\0", "cannot be read as Arrow stream from its", "cut short"),
        (b"PK\x03\x04", "is a damaged archive, or one cut short", "fetch or copy it again"),
        (b"\x1f\x8b\x08", "is a damaged archive, or one cut short", "fetch or copy it again"),
        (b"\x28\xb5\x2f\xfdx", "is a damaged archive, or one cut short", "fetch or copy it again"),
        (b"\xfd7zXZ\0", "is a damaged archive, or one cut short", "fetch or copy it again"),
        (
            reduce(lambda data, _: gzip.compress(data, mtime=0), range(4), b"[]"),
            "is compressed 4",
            "unpack",
        ),
    ],
    ids=map(str, count()),  # an archive holds the time: processes would not agree
)
def test_what_is_no_data_is_told_by_name(
    tmp_path: Path, content: bytes, sentence: str, hint: str
) -> None:
    error = problem(tmp_path / "my.json", content)
    assert error.sentence.startswith(f"`{tmp_path / 'my.json'}` {sentence}")
    assert error.hint is not None and hint in error.hint


def test_a_zip_in_a_zip_and_an_encrypted_one_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    assert "is a zip in a zip" in str(problem(path, zipped({"b.zip": zipped({"c.json": b"[]"})})))
    encrypted = bytearray(zipped({"rows.json": b"[]"}))
    encrypted[encrypted.index(b"PK\x01\x02") + 8] |= 1
    error = problem(path, bytes(encrypted))
    assert error.sentence == f"`{path / 'rows.json'}` is encrypted."


# always the same examples: what ends the process would hide all other tests
@settings(
    max_examples=300, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_a_damaged_file_gives_rows_or_a_data_error(tmp_path: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(FORMATS)))
    compression = data.draw(st.sampled_from(sorted(COMPRESSIONS)))
    damaged = bytearray(COMPRESSIONS[compression](name, FORMATS[name](ROWS)))
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / f"{name}{compression}"
    path.write_bytes(damaged)
    with contextlib.suppress(DataError):
        list(read_rows(path))
