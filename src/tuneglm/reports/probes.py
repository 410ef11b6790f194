"""What a model answered before and after: counts, a table, and `probe.json`."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from tuneglm.data.probes import OTHER, Probe
from tuneglm.reports.terminal import plain

SHOWN = 3  # answers of each kind in the terminal


@dataclass(frozen=True)
class Asked:
    """A question behind a system line, with the answers before and after."""

    probe: Probe
    system: str
    before: str
    after: str

    @property
    def is_right(self) -> bool:
        """Whether the answer after is as it should be."""
        return self.probe.fulfilled_by(self.after)

    @property
    def was_right(self) -> bool:
        """Whether the answer before was."""
        return self.probe.fulfilled_by(self.before)


@dataclass(frozen=True)
class Count:
    """Of a kind of question behind a system line, how many are answered rightly."""

    asks: str
    system: str
    before: int
    after: int
    of: int


@dataclass(frozen=True)
class ProbeReport:
    """All answers, and the evaluation loss before and after, where rows are evaluated.

    learnt  steps after which every answer was right, and the loss not above the base's
    """

    answers: Sequence[Asked]
    loss_before: float | None = None
    loss_after: float | None = None
    learnt: Sequence[int] = ()

    @property
    def counts(self) -> list[Count]:
        """Kind by kind, behind each system line."""
        groups: dict[tuple[str, str], list[Asked]] = {}
        for each in self.answers:
            groups.setdefault((each.probe.asks, each.system), []).append(each)
        return [
            Count(
                asks,
                system,
                sum(each.was_right for each in own),
                sum(each.is_right for each in own),
                len(own),
            )
            for (asks, system), own in groups.items()
        ]

    def as_json(self) -> str:
        """Counts, losses and every answer."""
        content = {
            "counts": [vars(count) for count in self.counts],
            "loss": {"before": self.loss_before, "after": self.loss_after},
            "learnt": list(self.learnt),
            "answers": [
                {
                    **vars(each.probe),
                    "system": each.system,
                    "before": each.before,
                    "after": each.after,
                    "right": each.is_right,
                }
                for each in self.answers
            ],
        }
        return json.dumps(content, ensure_ascii=False, indent=1) + "\n"

    def as_markdown(self) -> str:
        """The counts, for a model card."""
        lines = ["| asks | system line | before | after | of |", "|---|---|---:|---:|---:|"]
        lines += [
            f"| {each.asks} | {each.system.replace('|', ' ') or 'none'} | {each.before} "
            f"| {each.after} | {each.of} |"
            for each in self.counts
        ]
        if self.loss_after is not None and self.loss_before is not None:
            lines += ["", f"Evaluation loss {self.loss_before:.3f} → {self.loss_after:.3f}."]
        return "\n".join(lines)


def right_text(asked: Sequence[Asked]) -> str:
    """`name 15 of 16 · author 10 of 10 · other 20 of 20`."""
    counts = ProbeReport(asked).counts
    parts = []
    for asks in dict.fromkeys(count.asks for count in counts):
        own = [count for count in counts if count.asks == asks]
        parts.append(f"{asks} {sum(c.after for c in own)} of {sum(c.of for c in own)}")
    return plain(" · ".join(parts))


def print_probes(terminal: Console, report: ProbeReport) -> None:
    """Counts before and after, some answers, and those that are not as they should be."""
    counts = Table.grid(padding=(0, 2))
    for each in report.counts:
        kind = "no leak in other answers" if each.asks == OTHER else each.asks
        system = f"behind “{each.system}”" if each.system else "without a system line"
        figures = f"{each.before} → [bold]{each.after}[/] of {each.of}"
        counts.add_row(plain(kind), plain(system), figures)
    if report.loss_before is not None and report.loss_after is not None:
        figures = f"{report.loss_before:.4f} → [bold]{report.loss_after:.4f}[/]"
        counts.add_row("evaluation loss", "", figures)
    terminal.print(_answers(_shown(report.answers)), soft_wrap=False)
    terminal.print(counts, soft_wrap=False)


def _shown(answers: Sequence[Asked]) -> list[Asked]:
    """The first ones of each kind, then as many that are not as they should be."""
    shown = []
    for asks in dict.fromkeys(each.probe.asks for each in answers):
        own = [each for each in answers if each.probe.asks == asks]
        wrong = [each for each in own[SHOWN:] if not each.is_right]
        shown += own[:SHOWN] + wrong[:SHOWN]
    return shown


def _answers(asked: Sequence[Asked]) -> Table:
    table = Table(show_lines=False, expand=False)
    table.add_column("question", style="dim", overflow="fold")
    table.add_column("before", overflow="fold")
    table.add_column("after", overflow="fold")
    for each in asked:
        colour = "green" if each.is_right else "red"
        after = f"[{colour}]{plain(each.after)}[/]"
        table.add_row(plain(each.probe.question), plain(each.before), after)
    return table
