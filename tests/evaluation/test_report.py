"""The report: numbers as people read them, a page that stays a page, a picture with all letters."""

import ast
import json
import math
import warnings
from io import StringIO
from pathlib import Path
from string import Formatter

import pytest
from PIL import Image
from rich.console import Console

from tuneglm.evaluation.findings import Example, Finding, Note, Report, Section
from tuneglm.evaluation.intervals import Figure
from tuneglm.evaluation.subjects import CEVAL, CMMLU, MMLU
from tuneglm.reports import evaluation_chart
from tuneglm.reports.evaluation import page_of, shown, write_report
from tuneglm.reports.evaluation_chart import draw_evaluation
from tuneglm.reports.evaluation_terminal import print_report
from tuneglm.reports.evaluation_words import CHINESE, LOCALE, language_of_locale


def report_of(*findings: Finding, title: str = "问答集.json") -> Report:
    example = Example("a | b\n<c>", "$x$", {"tuned": "好", "base": "`"})
    section = Section(
        "set",
        title,
        findings,
        [Note("{who}: {empty:,} answers are empty", {"who": "base", "empty": 2})],
        [example],
    )
    share = Finding(
        "name", 16, {"tuned": Figure(1.0, 0.81, 1.0), "base": Figure(0.0, 0.0, 0.19)}, Figure(1.0)
    )
    return Report({"tuned": "out", "base": "model"}, [section, Section("questions", "Q", [share])])


def finding(measure: str, first: float, second: float) -> Finding:
    figures = {"tuned": Figure(first, first - 1, first + 1), "base": Figure(second)}
    return Finding(measure, 2, figures, Figure(first - second, first - second, first - second))


def test_numbers_are_as_people_read_them() -> None:
    assert shown(Figure(1.23456, 1.1, 1.3), "loss", "set") == "1.2346 [1.1000, 1.3000]"
    assert shown(Figure(12.345, 1, 20), "bleu-4", "set") == "12.35 [1.00, 20.00]"
    assert shown(Figure(131_749.0), "perplexity", "set") == "1.32e+05"
    assert shown(Figure(0.9375, 0.72, 0.99), "name", "questions") == "93.8% [72.0, 99.0]"
    assert shown(Figure(-0.05, -0.1, 0.0), "law", "suite", signed=True) == "-5.0% [-10.0, +0.0]"
    assert shown(Figure(math.nan), "loss", "set") == "nan"
    assert shown(None, "loss", "set") == "–"


def test_what_is_sure_and_better_is_known() -> None:
    assert finding("loss", 1, 2).is_sure and finding("loss", 1, 2).is_better
    assert finding("bleu-4", 1, 2).is_sure and not finding("bleu-4", 1, 2).is_better
    doubtful = Finding("loss", 2, {}, Figure(-1, -2, 1))
    assert not doubtful.is_sure and doubtful.is_better
    assert not Finding("loss", 2, {}, Figure(-1)).is_sure


def test_a_text_cannot_break_the_page(tmp_path: Path) -> None:
    page = page_of(report_of(finding("loss", 1, 2)))
    assert "| a \\| b<br>&lt;c> | $x$ | 好 | ` |" in page
    assert "| loss (lower is better) | 2 | 1.0000 [0.0000, 2.0000] | 2.0000 | **-1.0000" in page
    write_report(tmp_path, report_of(finding("loss", math.nan, 2)))
    content = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert content["sections"][0]["findings"][0]["figures"]["tuned"]["value"] is None


def test_the_page_in_chinese(tmp_path: Path) -> None:
    report = report_of(finding("loss", 1, 2), finding("bleu-4", 20, 30))
    write_report(tmp_path, report, "zh")
    page = (tmp_path / "report.md").read_text("utf-8")
    assert "| 损失（越低越好） | 2 |" in page and "| bleu-4 | 2 |" in page
    assert "base" not in page and "基座：2 个回答是空的" in page
    content = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert content["sections"][0]["notes"] == ["base: 2 answers are empty"]


@pytest.mark.parametrize("columns", [40, 60, 80, 120])
def test_a_terminal_of_any_width_can_be_read(columns: int, tmp_path: Path) -> None:
    """No figure is torn from its interval's ends, no line is longer than the terminal."""
    wide = Figure(12.3456, 11.1111, 13.2222), Figure(101.25, 99.5, 103.75)
    figures = {"tuned": wide[0], "base": wide[1]}
    made = Finding("rouge-1", 2, figures, Figure(-88.9, -90.11, -87.22))
    report = report_of(made, finding("perplexity", 131_749, 9_000_000))
    terminal = Console(file=StringIO(), width=columns, highlight=False, soft_wrap=True)
    print_report(terminal, report, tmp_path / "out")
    assert isinstance(terminal.file, StringIO)
    lines = terminal.file.getvalue().splitlines()
    tables = lines[: next(at for at, line in enumerate(lines) if line.startswith("Saved"))]
    assert max(map(len, tables)) <= columns
    text = "\n".join(tables)
    for whole in ("12.35", "[11.11, 13.22]", "101.25", "[99.50, 103.75]", "-88.90"):
        assert whole in text, text
    assert "[-90.11, -87.22]" in text and "93.8%" not in text and "[81.0, 100.0]" in text
    # the widest figures have a line each where three beside each other have no room
    assert ("difference  -88.90" in text) == (columns <= 60)


def test_every_sentence_has_its_chinese() -> None:
    """Of the code, by its own text; the values are the same on both sides."""
    code = Path(evaluation_chart.__file__).parents[1]
    files = [code / "evaluation" / name for name in ("sections.py", "sets.py")]
    texts = [text for file in files for text in _texts(file) if "{" in text]
    assert len(texts) == 8 and not set(texts) - CHINESE.keys()
    for english, chinese in CHINESE.items():
        assert _values(english) == _values(chinese), english
    for categories in (CEVAL, CMMLU, MMLU):
        assert not {*categories} - CHINESE.keys() - {"STEM"}


def _texts(file: Path) -> list[str]:
    """What stands in quotes, and is no part of an f-string."""
    tree = ast.parse(file.read_text("utf-8"))
    formatted = (each for each in ast.walk(tree) if isinstance(each, ast.JoinedStr))
    parts = {part for each in formatted for part in ast.walk(each)}
    constants = (each for each in ast.walk(tree) if isinstance(each, ast.Constant))
    return [str(each.value) for each in constants if each not in parts]


def _values(text: str) -> set[str | None]:
    return {name for _, name, _, _ in Formatter().parse(text)} - {None}


@pytest.mark.parametrize(
    ("settings", "language"),
    [
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "en_GB.UTF-8"}, "en"),
        ({"LC_ALL": "", "LC_MESSAGES": "zh_TW"}, "zh"),
        ({"LANG": "C.UTF-8"}, "en"),
        ({}, "en"),
    ],
)
def test_the_language_is_the_terminals(
    settings: dict[str, str], language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in LOCALE:
        monkeypatch.delenv(name, raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert language_of_locale() == language


def test_every_letter_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = report_of(finding("loss", 1, 2), finding("bleu-4", 20, 30), title="问答 $集$.json")
    for fonts in (evaluation_chart.FONTS, ()):
        monkeypatch.setattr(evaluation_chart, "FONTS", fonts)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            draw_evaluation(tmp_path / "report.png", report)
        with Image.open(tmp_path / "report.png") as picture:
            assert picture.width == 1008 and picture.height > 600
