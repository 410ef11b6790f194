"""An evaluation as `report.json`, and as a page with a picture; its figures as people read them."""

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from tuneglm.evaluation.findings import LOWER, Finding, Report, Section
from tuneglm.evaluation.intervals import Figure
from tuneglm.reports.evaluation_chart import draw_evaluation
from tuneglm.reports.evaluation_words import ENGLISH, Language, Words, said, words_in

JSON_FILE, PAGE_FILE, CHART_FILE = "report.json", "report.md", "report.png"
NOTHING = "–"


def write_report(folder: Path, report: Report, language: Language = "en") -> None:
    """`report.json`, and in a language `report.md` and `report.png`."""
    words = words_in(language)
    text = json.dumps(report.as_json(), ensure_ascii=False, indent=1, allow_nan=False)
    (folder / JSON_FILE).write_text(text + "\n", encoding="utf-8")
    draw_evaluation(folder / CHART_FILE, report, words)
    (folder / PAGE_FILE).write_text(page_of(report, words), encoding="utf-8")


def page_of(report: Report, words: Words = ENGLISH) -> str:
    """The page, in Markdown: tables with all figures, the picture, some rows."""
    lines = [f"# {words('Evaluation')}", ""]
    lines += [f"- {words(who)}: `{path}`" for who, path in report.contestants.items()]
    lines += ["", words("In brackets 95% intervals."), "", f"![{words('figures')}]({CHART_FILE})"]
    for section in report.sections:
        lines += ["", f"## {_cell(words(section.title))}", ""]
        lines += [f"{said(note, words)}  " for note in section.notes]
        lines += ["", *_page_table(section, report, words)]
        if section.examples:
            lines += ["", *_page_examples(section, list(report.contestants), words)]
    return "\n".join(lines) + "\n"


def shown(figure: Figure | None, measure: str, kind: str, *, signed: bool = False) -> str:
    """`12.34 [11.02, 13.57]`; shares as per cent."""
    if figure is None:
        return NOTHING
    value = _number(figure.value, measure, kind, signed)
    if figure.low is None or figure.high is None:
        return value
    low, high = (_number(each, measure, kind, signed) for each in (figure.low, figure.high))
    return f"{value} [{low.removesuffix('%')}, {high.removesuffix('%')}]"


def _number(value: float, measure: str, kind: str, signed: bool) -> str:
    sign = "+" if signed else ""
    if not math.isfinite(value):
        return str(value)
    if kind != "set":
        return f"{100 * value:{sign}.1f}%"
    if measure == "loss":
        return f"{value:{sign}.4f}"
    # a perplexity may be of any size
    return f"{value:{sign},.2f}" if abs(value) < 10_000 else f"{value:{sign}.2e}"


def cells_of(finding: Finding, section: Section, report: Report) -> list[str]:
    """The figure of each in `columns_of`."""
    figures = [
        shown(finding.figures.get(who), finding.measure, section.kind) for who in report.contestants
    ]
    if len(report.contestants) > 1:
        figures.append(shown(finding.difference, finding.measure, section.kind, signed=True))
    return figures


def columns_of(report: Report) -> list[str]:
    """Whose figures a line holds."""
    return [*report.contestants, *(["difference"] if len(report.contestants) > 1 else [])]


def _page_table(section: Section, report: Report, words: Words) -> Iterator[str]:
    names = [words(name) for name in columns_of(report)]
    yield f"| | {words('of')} | " + " | ".join(names) + " |"
    yield "|---|---:|" + "---:|" * len(names)
    for finding in section.findings:
        better = words(" (lower is better)") if finding.measure in LOWER else ""
        cells = cells_of(finding, section, report)
        if finding.is_sure:
            cells[-1] = f"**{cells[-1]}**"
        row = [f"{_cell(words(finding.measure))}{better}", f"{finding.of:,}", *cells]
        yield "| " + " | ".join(row) + " |"


def _page_examples(section: Section, names: Sequence[str], words: Words) -> Iterator[str]:
    asked = words("asked (wrong answers first)" if section.kind == "questions" else "asked")
    yield f"| {asked} | {words('expected')} | " + " | ".join(map(words, names)) + " |"
    yield "|---|---|" + "---|" * len(names)
    for example in section.examples:
        answers = [_cell(example.answers[name]) for name in names]
        yield "| " + " | ".join([_cell(example.prompt), _cell(example.label), *answers]) + " |"


def _cell(text: str) -> str:
    """A text in a table's cell, without a mark that means something there."""
    for mark, instead in (("\\", "\\\\"), ("|", "\\|"), ("<", "&lt;"), ("\n", "<br>")):
        text = text.replace(mark, instead)
    return text
