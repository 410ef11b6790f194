"""Where the fault of a JSON text lies: on which line, and at its end or in which column."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tuneglm.data.columns import RowError
from tuneglm.data.files import read_rows
from tuneglm.errors import DataError

ROW = '  {\n    "a": "x",\n    "b": "y"\n  }'
NOTHING = "nothing follows the `,`"
# what of ROW is written wrongly, how, and what is said of it as the row of lines 6 to 9
FAULTS = [
    ('"x",', '"x"', "a `,` is missing at the end of line 7"),
    ('"x",', '"x', 'a quote is not closed on its line, found `"x` in column 10 of line 7'),
    (
        '"x",',
        '"x\\",',
        'a quote is not closed on its line, found `"x\\",` in column 10 of line 7',
    ),
    ('"y"', '"y",', f"{NOTHING} at the end of line 8"),
    ('"y"\n  }', '"y",}', f"{NOTHING} in column 13 of line 8"),
    ('"x",', "", "no value follows the `:` at the end of line 7"),
    ('"y"', "", "no value follows the `:` at the end of line 8"),
    ('"y"', '["y"', "a `]` is missing at the end of line 8"),
    ('"x",', '["x",', 'a `]` is missing, found `"b": "y"` in column 5 of line 8'),
    ('"x",', '"x "x" x",', 'expecting `,` delimiter, found `x" x",` in column 14 of line 7'),
    ('"x",', "'x',", "expecting value, found `'x',` in column 10 of line 7"),
]


def told(path: Path) -> list[tuple[int, str]]:
    return [
        (row.line, row.value.sentence) for row in read_rows(path) if isinstance(row.value, RowError)
    ]


@pytest.fixture
def read(tmp_path: Path) -> Callable[[str], list[tuple[int, str]]]:
    def written(text: str) -> list[tuple[int, str]]:
        path = tmp_path / "rows.json"
        path.write_text(text, encoding="utf-8")
        return told(path)

    return written


@pytest.mark.parametrize("spaces", ["", " \t"], ids=["plain", "spaces"])
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["lf", "crlf"])
@pytest.mark.parametrize(("right", "wrong", "sentence"), FAULTS)
def test_the_line_that_is_to_be_mended_is_named(
    right: str,
    wrong: str,
    sentence: str,
    end: str,
    spaces: str,
    read: Callable[[str], list[tuple[int, str]]],
) -> None:
    broken = ROW.replace(right, wrong)
    with pytest.raises(json.JSONDecodeError):
        json.loads(broken)
    # what is shown of an open text goes to the end of its line
    is_open = "not closed" in sentence
    text = f"[\n{ROW},\n{broken},\n{ROW}\n]".replace("\n", end if is_open else spaces + end)
    assert read(text) == [(6, f"not JSON: {sentence}")]


def test_a_comma_between_rows_is_missing(read: Callable[[str], list[tuple[int, str]]]) -> None:
    assert read('[\n{"a": 1}\n{"a": 2},\n{"a": 3}\n]') == [
        (3, "not JSON: a `,` is missing at the end of line 2")
    ]


@pytest.mark.parametrize("rows", [1, 40_000])
def test_a_comma_behind_the_last_row(
    rows: int, read: Callable[[str], list[tuple[int, str]]]
) -> None:
    """Also where the file is read in parts."""
    text = "[\n" + '{"a": "some words of a row"},\n' * rows + "]"
    assert read(text) == [(rows + 1, f"not JSON: {NOTHING} behind the last row")]
    with pytest.raises(DataError, match=":1`: not JSON: nothing follows the `,` behind the last"):
        read('[{"a": 1},]')


def test_what_is_not_closed_where_the_list_ends(
    read: Callable[[str], list[tuple[int, str]]],
) -> None:
    with pytest.raises(DataError, match=r":2`: not JSON: a `}` is missing, found `]` in column 8"):
        read('[{"a": 1},\n{"a": 2]')
    assert read('[\n{"a": 1},\n{"a": [2}\n]') == [
        (3, "not JSON: a `]` is missing, found `}` in column 9")
    ]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (r"C:\q", r"C:\q"),
        ("""it's "x""", """it's "x"""),
        ("全\u3000角", "全\u3000角"),
        ("\ufeffx", r"\ufeffx"),
        ("\x7fx", r"\x7fx"),
    ],
)
def test_what_is_shown_can_be_searched_for(
    text: str, shown: str, read: Callable[[str], list[tuple[int, str]]]
) -> None:
    """It is as it stands in the file, but for what cannot be seen."""
    ((_, sentence),) = read(f'[\n{{"a": "b" {text}}},\n{{"a": 1}}\n]')
    assert f"found `{shown}}}" in sentence


def test_a_tab_inside_a_text_is_told_how_to_be_written(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": "x\ty"}\n{"a": 1}\n', encoding="utf-8")
    broken = next(iter(read_rows(path))).value
    assert isinstance(broken, RowError)
    assert broken.sentence == 'not JSON: invalid control character, found `\\ty"}` in column 9'
    assert broken.remedy == r"a tab inside a text is written \t"
