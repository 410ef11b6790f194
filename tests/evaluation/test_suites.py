"""C-Eval, CMMLU and MMLU in their published layouts, and what may be wrong with a folder."""

import csv
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow.parquet import write_table

from tuneglm.errors import ConfigError, DataError
from tuneglm.evaluation.subjects import CEVAL, CMMLU, MMLU, category_of, subjects_in
from tuneglm.evaluation.suites import SUITES, subjects_of, suite_and_folder

HEADERS = {
    "ceval": ["id", "question", "A", "B", "C", "D", "answer", "explanation"],
    "cmmlu": ["", "Question", "A", "B", "C", "D", "Answer"],
    "mmlu": [],
}
FILES = {
    "ceval": ("dev/law_dev.csv", "val/law_val.csv"),
    "cmmlu": ("dev/college_law.csv", "test/college_law.csv"),
    "mmlu": ("dev/professional_law_dev.csv", "test/professional_law_test.csv"),
}
QUESTION = ['哪个, "对"？', "一", "二", "三", "四"]


def write_suite(folder: Path, name: str) -> Path:
    """A subject with two questions to show and three to ask, as it is published."""
    for file, answers in zip(FILES[name], ("AB", "CDA"), strict=True):
        path = folder / name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8", newline="") as output:
            writer = csv.writer(output)
            if HEADERS[name]:
                writer.writerow(HEADERS[name])
            for number, answer in enumerate(answers):
                own = [*QUESTION, answer] + (["因为"] if name == "ceval" else [])
                writer.writerow(own if name == "mmlu" else [number, *own])
    return folder / name


@pytest.mark.parametrize(
    ("name", "subject", "category"),
    [
        ("ceval", "law", "humanities"),
        ("cmmlu", "college_law", "humanities"),
        ("mmlu", "professional_law", "humanities"),
    ],
)
def test_published_files_are_read(tmp_path: Path, name: str, subject: str, category: str) -> None:
    (one,) = subjects_of(SUITES[name], write_suite(tmp_path, name))
    assert (one.name, one.category) == (subject, category)
    assert [each["answer"] for each in one.shown] == ["A", "B"]
    assert [each["answer"] for each in one.asked] == ["C", "D", "A"]
    assert list(one.asked[0].values())[:5] == QUESTION


def test_the_hubs_files_are_read(tmp_path: Path) -> None:
    row = {"question": "Q", "subject": "anatomy", "choices": ["1", "2", "3", "4"], "answer": 2}
    for split in ("dev", "test"):
        (tmp_path / "anatomy").mkdir(exist_ok=True)
        table = pa.Table.from_pylist([row])
        write_table(table, tmp_path / "anatomy" / f"{split}-00000-of-00001.parquet")
    (one,) = subjects_of(SUITES["mmlu"], tmp_path)
    asked = {"question": "Q", "A": "1", "B": "2", "C": "3", "D": "4", "answer": "C"}
    assert (one.name, one.shown, one.asked) == ("anatomy", [asked], [asked])


def test_every_published_subject_has_its_category() -> None:
    counts = [len(subjects_in(each)) for each in (CEVAL, CMMLU, MMLU)]
    assert counts == [52, 67, 57]
    assert [len(own.split()) for own in CEVAL.values()] == [20, 10, 11, 11]
    assert [len(own.split()) for own in CMMLU.values()] == [17, 13, 22, 15]
    assert category_of(MMLU, "anatomy") == "STEM"
    assert category_of(MMLU, "my_own") == "other"


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no suite `gaokao`"):
        suite_and_folder("gaokao", tmp_path)
    with pytest.raises(DataError, match=r"no folder `.*ceval` with the questions of C-Eval"):
        suite_and_folder("ceval", tmp_path)
    with pytest.raises(DataError, match="holds no questions of C-Eval"):
        subjects_of(SUITES["ceval"], tmp_path)
    folder = write_suite(tmp_path, "mmlu")
    (folder / FILES["mmlu"][1]).write_text("Q,1,2,3,4,E\n")
    with pytest.raises(DataError, match=r"Question 1 of .* has no answer A, B, C or D"):
        subjects_of(SUITES["mmlu"], folder)
    (folder / FILES["mmlu"][1]).write_bytes(b"\xff\xfe,1")
    with pytest.raises(DataError, match="not readable CSV"):
        subjects_of(SUITES["mmlu"], folder)
    (folder / FILES["mmlu"][1]).write_text("")
    with pytest.raises(DataError, match="holds no questions"):
        subjects_of(SUITES["mmlu"], folder)
