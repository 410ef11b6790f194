"""An evaluation at the terminal, as wide as that is."""

from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tuneglm.evaluation.findings import Finding, Report, Section
from tuneglm.reports.evaluation import CHART_FILE, JSON_FILE, PAGE_FILE, cells_of, columns_of
from tuneglm.reports.terminal import plain

WIDEST = 1000  # characters


def print_report(terminal: Console, report: Report, folder: Path) -> None:
    """A table a section, then where the page is."""
    for section in report.sections:
        terminal.print(f"\n[bold]{plain(section.title)}[/]")
        for note in section.notes:
            terminal.print(f"[dim]{plain(str(note))}[/]")
        terminal.print(_fitting(section, report, terminal), soft_wrap=False)
    terminal.print(f"\nSaved    {plain(str(folder))}: {PAGE_FILE}, {CHART_FILE}, {JSON_FILE}")


def _coloured(finding: Finding, section: Section, report: Report, gap: str = " ") -> list[str]:
    """The figures as rich prints them; a difference beyond doubt has its colour.

    gap  between a value and its interval
    """
    cells = [plain(each.replace(" [", f"{gap}[")) for each in cells_of(finding, section, report)]
    if finding.is_sure:
        cells[-1] = f"[{'green' if finding.is_better else 'red'}]{cells[-1]}[/]"
    return cells


def _table(section: Section, report: Report, gap: str) -> Table:
    """What is not a detail, a line a finding and a column a model."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("", overflow="fold")
    if section.kind != "set":
        table.add_column("of", justify="right")
    for name in columns_of(report):
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
        for name, cell in zip(columns_of(report), _coloured(finding, section, report), strict=True):
            table.add_row(f"  {plain(name)}", cell)
    return table
