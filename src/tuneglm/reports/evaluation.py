"""An evaluation at the terminal, as `report.json`, and as a page with a picture."""

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tuneglm.evaluation.findings import LOWER, Finding, Report, Section
from tuneglm.evaluation.intervals import Figure
from tuneglm.reports.evaluation_chart import draw_evaluation
from tuneglm.reports.evaluation_words import ENGLISH, Language, Words, said, words_in
from tuneglm.reports.terminal import plain

JSON_FILE, PAGE_FILE, CHART_FILE = "report.json", "report.md", "report.png"
NOTHING = "–"
WIDEST = 1000  # characters


def write_report(folder: Path, report: Report, language: Language = "en") -> None:
    """`report.json`, and in a language `report.md` and `report.png`."""
    words = words_in(language)
    text = json.dumps(report.as_json(), ensure_ascii=False, indent=1, allow_nan=False)
    (folder / JSON_FILE).write_text(text + "\n", encoding="utf-8")
    draw_evaluation(folder / CHART_FILE, report, words)
    (folder / PAGE_FILE).write_text(page_of(report, words), encoding="utf-8")


def print_report(terminal: Console, report: Report, folder: Path) -> None:
    """A table a section, then where the page is."""
    for section in report.sections:
        terminal.print(f"\n[bold]{plain(section.title)}[/]")
        for note in section.notes:
            terminal.print(f"[dim]{plain(str(note))}[/]")
        terminal.print(_fitting(section, report, terminal), soft_wrap=False)
    terminal.print(f"\nSaved    {plain(str(folder))}: {PAGE_FILE}, {CHART_FILE}, {JSON_FILE}")


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


def _cells(finding: Finding, section: Section, report: Report) -> list[str]:
    figures = [
        shown(finding.figures.get(who), finding.measure, section.kind) for who in report.contestants
    ]
    if len(report.contestants) > 1:
        figures.append(shown(finding.difference, finding.measure, section.kind, signed=True))
    return figures


def _coloured(finding: Finding, section: Section, report: Report, gap: str = " ") -> list[str]:
    """The figures as rich prints them; a difference beyond doubt has its colour.

    gap  between a value and its interval
    """
    cells = [plain(each.replace(" [", f"{gap}[")) for each in _cells(finding, section, report)]
    if finding.is_sure:
        cells[-1] = f"[{'green' if finding.is_better else 'red'}]{cells[-1]}[/]"
    return cells


def _table(section: Section, report: Report, gap: str) -> Table:
    """What is not a detail, a line a finding and a column a model."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("", overflow="fold")
    if section.kind != "set":
        table.add_column("of", justify="right")
    for name in _columns(report):
        table.add_column(name, justify="right", overflow="fold")
    for finding in section.findings:
        if finding.is_detail:
            continue
        cells = _coloured(finding, section, report, gap)
        count = [] if section.kind == "set" else [f"{finding.of:,}"]
        table.add_row(plain(finding.measure), *count, *cells)
    return table


def _fitting(section: Section, report: Report, terminal: Console) -> Table:
    """As wide as a terminal is: a value beside its interval, above it, or a line a model."""
    anywhere = terminal.options.update(max_width=WIDEST)
    for gap in (" ", "\n"):
        table = _table(section, report, gap)
        if terminal.measure(table, options=anywhere).maximum <= terminal.width:
            return table
    return _list(section, report)


def _list(section: Section, report: Report) -> Table:
    """Each finding by its name, and below it a line for each figure."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    for finding in section.findings:
        if finding.is_detail:
            continue
        of = "" if section.kind == "set" else f" (of {finding.of:,})"
        table.add_row(Text(f"{finding.measure}{of}", style="bold"), "")
        for name, cell in zip(_columns(report), _coloured(finding, section, report), strict=True):
            table.add_row(f"  {plain(name)}", cell)
    return table


def _columns(report: Report) -> list[str]:
    return [*report.contestants, *(["difference"] if len(report.contestants) > 1 else [])]


def _page_table(section: Section, report: Report, words: Words) -> Iterator[str]:
    names = [words(name) for name in _columns(report)]
    yield f"| | {words('of')} | " + " | ".join(names) + " |"
    yield "|---|---:|" + "---:|" * len(names)
    for finding in section.findings:
        better = words(" (lower is better)") if finding.measure in LOWER else ""
        cells = _cells(finding, section, report)
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
