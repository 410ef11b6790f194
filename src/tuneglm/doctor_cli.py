"""`tuneglm doctor`: what is here and what to do about what is not well, one line each."""

import argparse
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tuneglm.command_line import add_command, no_bars

if TYPE_CHECKING:
    from tuneglm.doctor.finding import Finding

ILL = 1
SIGNS = {"well": "[green]✓[/]", "note": "[yellow]·[/]", "ill": "[red]✗[/]"}


def doctor(given: argparse.Namespace) -> int:
    """Look at everything; the exit code is 1 where something will not work."""
    from tuneglm.doctor.finding import Finding
    from tuneglm.doctor.software import software

    findings: list[Finding] = list(software())
    # a library that cannot be imported is told of, and ends what needs it
    if not any(each.state == "ill" for each in findings):
        no_bars()
        from tuneglm.doctor.machine import machine
        from tuneglm.doctor.model import model

        findings += machine()
        findings += model(given.model) if given.model else ()
    if given.json:
        print(json.dumps([each.as_json() for each in findings], ensure_ascii=False, indent=1))
    else:
        _print(findings)
    return ILL if any(each.state == "ill" for each in findings) else 0


def _print(findings: "Sequence[Finding]") -> None:
    from tuneglm.reports.terminal import console, plain

    terminal = console()
    width = max(len(each.what) for each in findings)
    for each in findings:
        remedy = f" [dim]→ {plain(each.remedy)}[/]" if each.remedy else ""
        what = each.what.ljust(width)
        terminal.print(f"{SIGNS[each.state]} [bold]{what}[/]  {plain(each.words)}{remedy}")
    ill = sum(each.state == "ill" for each in findings)
    terminal.print(f"\n{ill} will not work." if ill else "\nNothing is wrong.")


def add_doctor(commands: Any, name: str) -> None:
    """The command."""
    parser = add_command(
        commands,
        name,
        doctor,
        "Say what is here, what it can do, and what to do about what is not well: versions, "
        "devices, memory, disk, hubs; and of a model's folder whether it is whole.",
        epilog="examples:\n  tuneglm doctor\n  tuneglm doctor path/to/model\n"
        "  tuneglm doctor --json > report.json",
    )
    parser.add_argument("model", nargs="?", help="a model's folder, an adapter, or a run")
    parser.add_argument("--json", action="store_true", help="print one list, to paste in a report")
