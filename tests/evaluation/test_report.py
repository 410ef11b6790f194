"""The report: numbers as people read them, a page that stays a page, a picture with all letters."""

import json
import math
import warnings
from pathlib import Path

import pytest
from PIL import Image

from tuneglm.evaluation.findings import Example, Finding, Report, Section
from tuneglm.evaluation.intervals import Figure
from tuneglm.reports import evaluation_chart
from tuneglm.reports.evaluation import page_of, shown, write_report
from tuneglm.reports.evaluation_chart import draw_evaluation


def report_of(*findings: Finding, title: str = "问答集.json") -> Report:
    example = Example("a | b\n<c>", "$x$", {"tuned": "好", "base": "`"})
    section = Section("set", title, findings, ["2 rows"], [example])
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


def test_every_letter_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = report_of(finding("loss", 1, 2), finding("bleu-4", 20, 30), title="问答 $集$.json")
    for fonts in (evaluation_chart.FONTS, ()):
        monkeypatch.setattr(evaluation_chart, "FONTS", fonts)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            draw_evaluation(tmp_path / "report.png", report)
        with Image.open(tmp_path / "report.png") as picture:
            assert picture.width == 1008 and picture.height > 600
