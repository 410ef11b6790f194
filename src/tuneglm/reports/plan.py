"""A plan at the terminal, and as JSON."""

import json
from typing import Any

from rich.console import Console
from rich.table import Table

from tuneglm.plan.capacity import gib
from tuneglm.plan.divided import GATHERED
from tuneglm.plan.records import PROCESS, RESERVED, Choice, Plan, memory_words

WORDS = {
    "weights": "frozen weights",
    "quantization": "constants of their bits",
    "trained": "trained weights",
    "gradients": "gradients",
    "optimizer": "optimizer states",
    "activations": "activations",
    "logits": "logits and loss",
    GATHERED: "gathered for the layer at work",
    RESERVED: "reserved by the allocator",
    PROCESS: "the process itself",
}


def print_plan(terminal: Console, planned: Plan) -> None:
    """Memory by part, time of a step, the largest batch, and the table of choices."""
    config = planned.config
    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="bold")
    rows.add_column(overflow="fold")
    rows.add_row("Model", f"{config.model.path} · family {planned.family}".replace("[", r"\["))
    rows.add_row("Batch", _batch(planned))
    if planned.bits_because is not None:
        rows.add_row("Bits", f"{config.model.bits}: {planned.bits_because}")
    rows.add_row("Memory", f"{memory_words(planned)} on {planned.device}{_verdict(planned)}")
    for part, size in planned.memory.parts.items():
        if size:
            rows.add_row("", f"{gib(size):>7}  {WORDS[part]}")
    if planned.memory.offloaded:
        words = "beside it, of each process in the machine's memory"
        rows.add_row("", f"{gib(planned.memory.offloaded):>7}  {words}")
    if planned.left_out is not None:
        rows.add_row("", planned.left_out)
    if planned.seconds is not None:
        rows.add_row("Time", f"about {seconds_text(planned.seconds)} a step on this machine")
    if planned.largest is not None:
        rows.add_row("Largest", _largest(planned))
    terminal.print(rows, soft_wrap=False)
    if planned.choices:
        terminal.print()
        terminal.print(_table(planned), soft_wrap=False)
        terminal.print(_advice(planned))


def plan_json(planned: Plan) -> str:
    """All of it; sizes in bytes, times in seconds."""
    batch = planned.batch
    content = {
        "model": planned.config.model.path,
        "family": planned.family,
        "device": planned.device,
        "method": planned.config.method.name,
        "bits": planned.config.model.bits,
        "batch": {
            "rows": batch.count,
            "tokens": batch.tokens,
            "positions_with_logits": batch.trained,
            "assumed": batch.assumed,
        },
        "parts": dict(planned.memory.parts),
        "peak": planned.memory.peak,
        "offloaded": planned.memory.offloaded,
        "available": planned.limit,
        "fits": planned.fits,
        "left_out": planned.left_out,
        "seconds_per_step": planned.seconds,
        "operations_per_step": planned.operations,
        "largest_batch": planned.largest,
        "choices": [_choice(each, planned) for each in planned.choices],
    }
    return json.dumps(content, indent=2, ensure_ascii=False)


def seconds_text(seconds: float) -> str:
    """`0.21 s`, `14 s`, `3 min`."""
    if seconds >= 120:
        return f"{seconds / 60:.0f} min"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.2g} s"


def _choice(choice: Choice, planned: Plan) -> dict[str, Any]:
    return {
        "method": choice.method,
        "bits": choice.bits,
        "gradient_checkpointing": choice.checkpointing,
        "peak": choice.peak,
        "seconds_per_step": choice.seconds,
        "operations_per_step": choice.operations,
        "fits": choice.fits,
        "cheapest": choice is planned.cheapest,
    }


def _batch(planned: Plan) -> str:
    batch = planned.batch
    if batch.packed:
        shape = f"{batch.count} rows, {batch.tokens:,} tokens"
    else:
        shape = f"{batch.rows} × {batch.length:,} tokens"
    if batch.assumed:
        return f"{shape}, taken as data.cutoff allows and trained throughout"
    return f"{shape}, the largest of the data; logits at {batch.trained:,} positions"


def _verdict(planned: Plan) -> str:
    if planned.fits is None:
        return ""
    return ": [green]fits[/]" if planned.fits else ": [red]does not fit[/]"


def _largest(planned: Plan) -> str:
    if not planned.largest:
        return "not even one row fits"
    if planned.batch.counts == "tokens":
        return f"data.tokens_per_batch={planned.largest}"
    return f"training.per_device_train_batch_size={planned.largest}"


def _table(planned: Plan) -> Table:
    table = Table(box=None, padding=(0, 2), pad_edge=False)
    for title in ("", "Method", "Bits", "Checkpointing"):
        table.add_column(title)
    for title in ("GiB", "A step"):
        table.add_column(title, justify="right")
    for choice in planned.choices:
        marked = choice is planned.cheapest
        time = seconds_text(choice.seconds) if choice.seconds else f"{choice.operations:.1e} FLOP"
        table.add_row(
            "→" if marked else "",
            choice.method,
            str(choice.bits or 16) if choice.method != "full" else "32",
            "on" if choice.checkpointing else "off",
            gib(choice.peak),
            time,
            style="bold" if marked else "dim" if choice.fits is False else "",
        )
    return table


def _advice(planned: Plan) -> str:
    if planned.cheapest is None:
        return "Nothing of it fits: take a smaller batch, or a smaller data.cutoff."
    own = planned.cheapest.method == planned.config.method.name
    of = f" of method={planned.cheapest.method}" if own else ""
    return f"→ the quickest{of} that fits: {planned.cheapest.settings}"
