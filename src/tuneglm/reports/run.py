"""What a run tells the person at the terminal, and what it writes down of itself."""

import json
import logging
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from transformers import TrainerCallback

from tuneglm.checkpoints import LOG_FILE, Output
from tuneglm.data.mix import EncodedSet
from tuneglm.data.stream import StreamedSet
from tuneglm.errors import DivergedError
from tuneglm.reports.figures import duration, smoothed
from tuneglm.reports.terminal import plain

CHART_FILE = "loss.png"
LOSSES = ("loss", "eval_loss", "train_loss")
SECONDS_BETWEEN_LINES = 10.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Summary:
    """What is about to happen.

    packs   whether what a step has are packs, of which nobody knows the rows
    epochs  how often the rows are seen, and whether that was chosen for them
    doubts  what is to be said of the learning rate and the number of steps
    """

    model: str
    family: str
    method: str
    precision: str
    device: str
    trained: int
    parameters: int
    steps: int
    rows_a_step: float
    packs: bool
    batches: str = ""
    epochs: str = ""
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrainingResult:
    """What a run leaves.

    finished               False when a signal stopped it: the same command goes on
    loss, evaluation_loss  the last ones, None where there is none
    stopped_by             the signal's number
    """

    folder: Path
    finished: bool
    steps: int
    loss: float | None
    evaluation_loss: float | None
    stopped_by: int | None = None


def print_summary(
    terminal: Console,
    summary: Summary,
    train: EncodedSet | StreamedSet,
    evaluation: EncodedSet | None,
) -> None:
    """A table of what is trained, on what, for how long."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    if isinstance(train, StreamedSet):
        rows = f"{', '.join(each.name for each in train.sets)} · streamed"
    else:
        figures = f"{train.tokens:,} tokens, {train.trained_tokens:,} trained"
        made = f", one an answer, of {train.sources:,} in the files" if train.sources else ""
        rows = f"{len(train.rows):,} rows{made} · {figures}"
    if evaluation is not None:
        rows += f" · evaluation {len(evaluation.rows):,} rows"
    share = 100 * summary.trained / summary.parameters
    table.add_row("Model", plain(f"{summary.model} · family {summary.family}"))
    table.add_row("Data", plain(rows))
    table.add_row(
        "Method",
        f"{summary.method} · {summary.trained:,} of {summary.parameters:,} parameters "
        f"trained ({share:.2f}%)",
    )
    table.add_row("Compute", f"{summary.device} · {summary.precision}")
    if summary.batches:
        table.add_row("Batches", summary.batches)
    about = "" if summary.rows_a_step == int(summary.rows_a_step) else "about "
    seen = f" · {summary.epochs}" if summary.epochs else ""
    what = "pack" if summary.packs else "row"
    each = f"{summary.rows_a_step:.4g} {what}{'' if summary.rows_a_step == 1 else 's'}"
    table.add_row("Steps", f"{summary.steps:,} · {about}{each} each{seen}")
    terminal.print(table, soft_wrap=False)
    for doubt in summary.doubts:
        terminal.print(f"[yellow]Note:[/] {plain(doubt)}")


def print_start(terminal: Console, output: Output) -> None:
    """From where a run goes on, if it does, and what was passed over for it."""
    for note in output.notes:
        terminal.print(f"[yellow]Note:[/] {plain(note)}")
    if output.checkpoint is not None:
        terminal.print(f"Goes on from {plain(str(output.checkpoint))}")
    elif output.notes:
        terminal.print("No whole checkpoint is left: starts from the beginning")


class Progression(TrainerCallback):
    """The progress line, `log.jsonl` and the picture of the loss.

    begun, steps, seconds, tokens  the step it went on from, those to be had, and what it took
    """

    def __init__(self, terminal: Console, folder: Path) -> None:
        self.terminal = terminal
        self.folder = folder
        self.history: list[dict[str, Any]] = []
        self.begun = self.steps = self.tokens = 0
        self.seconds = 0.0
        self._line: _Line | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Open the line; a run that goes on begins with the log of its checkpoint."""
        self.history = state.log_history
        if not state.is_world_process_zero:
            return
        with (self.folder / LOG_FILE).open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(entry) + "\n" for entry in self.history)
        self.begun, self.steps = state.global_step, state.max_steps
        self._line = _Line(self.terminal, state)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """What it took."""
        if self._line is not None:
            self.seconds = time.monotonic() - self._line.started
            self.tokens = state.num_input_tokens_seen - self._line.first_tokens

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Move the line."""
        if self._line is not None:
            self._line.move(state)

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any
    ) -> None:
        """Write the figures down."""
        if self._line is None or not logs:
            return
        with (self.folder / LOG_FILE).open("a", encoding="utf-8") as file:
            file.write(json.dumps({**logs, "step": state.global_step}) + "\n")
        self._line.note(logs)
        _refuse_divergence(logs, state.global_step)

    def close(self) -> None:
        """Close the line, also when the run broke off."""
        if self._line is not None:
            self._line.close()
            self._line = None

    def curve(self, key: str) -> list[tuple[int, float]]:
        """(step, value) of `loss` or `eval_loss`."""
        return [(entry["step"], entry[key]) for entry in self.history if key in entry]

    @property
    def kinds(self) -> dict[str, float]:
        """Kind of task → the last evaluation loss of its rows; nothing where all are of one."""
        last: dict[str, Any] = next(
            (entry for entry in reversed(self.history) if "eval_loss" in entry), {}
        )
        start = "eval_loss_"
        return {key.removeprefix(start): last[key] for key in last if key.startswith(start)}


def _refuse_divergence(logs: Mapping[str, Any], step: int) -> None:
    for key in LOSSES:
        if not math.isfinite(logs.get(key, 0)):
            raise DivergedError(
                f"At step {step} the loss is not a number any more ({logs[key]}).",
                "take a smaller training.learning_rate; where the first loss is one already, the "
                "model's own weights are broken",
            )


class _Line:
    """Step, loss, tokens a second and time left: one line that moves, or a line now and then."""

    def __init__(self, terminal: Console, state: Any) -> None:
        self.terminal = terminal
        self.started, self.first_step = time.monotonic(), state.global_step
        self.first_tokens = state.num_input_tokens_seen
        self.printed = time.monotonic()
        self.loss = self.evaluation = ""
        self.waiting: Any = None
        self.progress: Progress | None = None
        if terminal.is_terminal:
            self.progress = Progress(
                TextColumn("[bold]{task.completed}/{task.total}"),
                BarColumn(bar_width=None),
                TextColumn("{task.fields[text]}"),
                console=terminal,
            )
            self.progress.start()
            self.task = self.progress.add_task(
                "", total=state.max_steps, completed=state.global_step, text=""
            )

    def move(self, state: Any) -> None:
        self.waiting = state
        if self.progress is not None:
            text = self._text(state)
            self.progress.update(self.task, completed=state.global_step, text=text)
            return
        if time.monotonic() - self.printed > SECONDS_BETWEEN_LINES:
            self._print(state)

    def _print(self, state: Any) -> None:
        self.printed, self.waiting = time.monotonic(), None
        text = self._text(state)
        self.terminal.print(f"step {state.global_step}/{state.max_steps} · {text}")

    def note(self, logs: dict[str, Any]) -> None:
        if "loss" in logs:
            self.loss = f"loss {float(logs['loss']):.4f} · "
        if "eval_loss" in logs:
            self.evaluation = f"evaluation {float(logs['eval_loss']):.4f} · "

    def close(self) -> None:
        """Show the last step as it ended: its loss is logged after the line has moved."""
        if self.waiting is not None and self.progress is not None:
            self.progress.update(self.task, text=self._text(self.waiting))
        elif self.waiting is not None:
            self._print(self.waiting)
        if self.progress is not None:
            self.progress.stop()

    def _text(self, state: Any) -> str:
        seconds = max(time.monotonic() - self.started, 1e-9)
        done = state.global_step - self.first_step
        tokens = (state.num_input_tokens_seen - self.first_tokens) / seconds
        left = seconds / max(done, 1) * (state.max_steps - state.global_step)
        return f"{self.loss}{self.evaluation}{tokens:,.0f} tokens/s · {duration(left)} left"


def draw_chart(
    path: Path, training: list[tuple[int, float]], evaluation: list[tuple[int, float]]
) -> None:
    """The loss over the steps, of training and evaluation, as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), dpi=144, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    if training:
        steps, losses = zip(*training, strict=True)
        crowded = len(training) > 20
        axes.plot(
            steps,
            losses,
            color="#9ec5e8" if crowded else "#1f6fb2",
            linewidth=1.2,
            label=None if crowded else "training",
            marker=None if crowded else ".",
        )
        if crowded:
            axes.plot(
                steps, smoothed(losses), color="#1f6fb2", linewidth=2, label="training (smoothed)"
            )
    if evaluation:
        axes.plot(*zip(*evaluation, strict=True), color="#d1495b", marker="o", label="evaluation")
    axes.set_xlabel("step")
    axes.set_ylabel("loss")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if training or evaluation:
        axes.legend(frameon=False)
    figure.savefig(path)


def size_text(folder: Path) -> str:
    """Size of the weights in a folder: `1.2 MB`."""
    files = [*folder.glob("*.safetensors"), *folder.glob("*.bin")]
    size = float(sum(path.stat().st_size for path in files))
    for unit in ("B", "KB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
