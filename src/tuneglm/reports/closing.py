"""What a run says when it has ended: what was saved, what it took, and what to do next."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console

from tuneglm.checkpoints import LOG_FILE
from tuneglm.models.adapters import is_adapter
from tuneglm.models.chain import kind_of
from tuneglm.plan.capacity import gib
from tuneglm.reports.figures import duration
from tuneglm.reports.run import CHART_FILE, TrainingResult, size_text
from tuneglm.reports.terminal import command, plain

Curve = Sequence[tuple[int, float]]

# an evaluation loss that rose by such a share of its lowest, and a loss that fell by less than
# such a share of its first, are worth a word; a loss so small has nothing left to fall
ROSE, FELL, SMALL = 0.02, 0.02, 0.1
# the first and the last of a curve, each the mean of such a part of it
PART = 10
LEAST = 4


@dataclass(frozen=True)
class Closing:
    """How a run went.

    losses, held    (step, value) of the training and the evaluation loss
    steps           that it was to have
    begun           the step from which it went on
    seconds         since then
    tokens          since then, of all processes; `trained` of them were trained
    peak, planned   bytes at most, measured and foreseen; None where nobody knows
    kinds           kind of task → the last evaluation loss of its rows
    kept            the step whose weights were kept as the best; None: the last
    averaged        steps up to that one of whose weights they are the mean; None: not asked for
    doubt           what is to be said of the learning rate
    learnt          whether it ended because every question was answered
    bits            in which bitsandbytes held the base; None: in none
    """

    losses: Curve
    held: Curve
    steps: int
    begun: int
    seconds: float
    tokens: int
    trained: int
    peak: int | None
    planned: int | None
    kinds: Mapping[str, float]
    kept: int | None
    doubt: str | None
    learnt: bool = False
    bits: int | None = None
    averaged: int | None = None


def print_closing(terminal: Console, result: TrainingResult, closing: Closing) -> None:
    """What was saved, the losses, time and memory, and the commands to type next."""
    if not result.finished:
        terminal.print(
            f"[yellow]Stopped[/] after step {result.steps}; a checkpoint is saved in "
            f"{plain(str(result.folder))}.\nGo on:  the same command again, or "
            f"[bold]{plain(command('train', result.folder / 'run.yaml'))}[/]"
        )
        return
    for title, words in _lines(result, closing):
        # not a table: the folder's name is to be copied whole
        terminal.print(f"[{'green' if title == 'Saved' else 'bold'}]{title:7}[/]  {plain(words)}")
    for note in _notes(result, closing):
        terminal.print(f"[yellow]Note:[/] {plain(note)}")
    adapter = is_adapter(result.folder)
    whole = result.folder.with_name(f"{result.folder.name}-whole")
    # a card that held the base so would not hold it whole
    narrow = ("--bits", str(closing.bits)) if adapter and closing.bits else ()
    terminal.print(f"Talk to it:  [bold]{plain(command('chat', result.folder, *narrow))}[/]")
    if adapter and kind_of(result.folder) in ("lora", "freeze"):
        # a prefix is no weights
        words = command("export", result.folder, whole)
        terminal.print(f"Whole weights:  [bold]{plain(words)}[/]")


def _lines(result: TrainingResult, closing: Closing) -> Iterator[tuple[str, str]]:
    kind = "adapter" if is_adapter(result.folder) else "model"
    yield (
        "Saved",
        f"{result.folder}: {kind} ({size_text(result.folder)}), "
        f"tokenizer, run.yaml, {LOG_FILE}, {CHART_FILE}",
    )
    figures = [_change("", closing.losses), _change("evaluation ", closing.held)]
    if any(figures):
        yield "Loss", " · ".join(filter(None, figures))
    if closing.kinds:
        each = [f"{kind} {loss:.4f}" for kind, loss in closing.kinds.items()]
        yield "Kinds", "evaluation of " + " · ".join(each)
    if result.steps < closing.steps:
        why = "every question was answered twice" if closing.learnt else _patience(closing)
        yield "Ended", f"at step {result.steps:,} of {closing.steps:,}: {why}"
    if closing.kept is not None or closing.averaged:
        yield "Kept", _kept(result, closing)
    yield "Time", _time(closing)
    if closing.peak is not None:
        planned = "" if closing.planned is None else f", planned {gib(closing.planned)}"
        yield "Memory", f"peak {gib(closing.peak)} GiB{planned}"


def _change(name: str, curve: Curve) -> str:
    return f"{name}{curve[0][1]:.4f} → {curve[-1][1]:.4f}" if curve else ""


def _kept(result: TrainingResult, closing: Closing) -> str:
    last = result.steps if closing.kept is None else closing.kept
    weights = f"the weights of step {last:,}"
    if closing.averaged:
        weights = f"the mean of the weights of steps {last - closing.averaged + 1:,} to {last:,}"
    loss = dict(closing.held).get(last)
    return weights if loss is None else f"{weights}, evaluation {loss:.4f}"


def _patience(closing: Closing) -> str:
    lowest, _ = _lowest(closing.held)
    return f"no evaluation since step {lowest:,} brought a lower loss"


def _time(closing: Closing) -> str:
    seconds = max(closing.seconds, 1e-9)
    since = f" since step {closing.begun:,}" if closing.begun else ""
    return (
        f"{duration(seconds)}{since} · {closing.tokens / seconds:,.0f} tokens/s, "
        f"{closing.trained / seconds:,.0f} of them trained"
    )


def _notes(result: TrainingResult, closing: Closing) -> Iterator[str]:
    """What the losses say of the next run, and what was asked for and did not come about."""
    if closing.averaged == 0:
        yield (
            "The weights are one step's: those that `average` takes the mean of had not come yet. "
            "A larger share, or fewer training.max_steps, begins sooner."
        )
    if closing.kept is None and len(closing.held) > 1:
        step, lowest = _lowest(closing.held)
        last = closing.held[-1][1]
        if last > lowest * (1 + ROSE):
            yield (
                f"The evaluation loss was lowest at step {step:,} ({lowest:.4f}) and has risen to "
                f"{last:.4f} since: fewer epochs would do (training.num_train_epochs), or "
                "patience=3 stops there and keeps the lowest."
            )
    losses = [value for _, value in closing.losses]
    # a line of training is of some rows, and may be of distances alone: evaluation knows better
    fell = len(closing.held) > 1 and closing.held[-1][1] < closing.held[0][1]
    if len(losses) < LEAST or fell:
        return
    part = max(1, len(losses) // PART)
    first, last = sum(losses[:part]) / part, sum(losses[-part:]) / part
    if last > first * (1 + ROSE) and last > SMALL:
        remedy = closing.doubt or "a lower training.learning_rate would show whether it falls."
        yield f"The loss has risen ({_means(part, first, last)}): {remedy}"
    elif first > SMALL and last > first * (1 - FELL):
        remedy = closing.doubt or "a higher training.learning_rate, or more steps, would show more."
        means = _means(part, first, last)
        if last < first:
            yield f"The loss has hardly fallen ({means}): {remedy}"
        else:
            yield f"The loss has not fallen ({means}): {remedy}"


def _means(part: int, first: float, last: float) -> str:
    """The first and the last of a curve; where they are means, that no line of the log shows."""
    of = f"means of {part} entries of the log, " if part > 1 else ""
    return f"{of}{first:.4f} → {last:.4f}"


def _lowest(curve: Curve) -> tuple[int, float]:
    return min(curve, key=lambda point: point[1])
