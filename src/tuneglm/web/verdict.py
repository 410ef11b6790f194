"""A plan as one line, and the state of a run as a few."""

from collections.abc import Mapping
from html import escape
from typing import Any

from tuneglm.reports.figures import duration
from tuneglm.reports.terminal import command
from tuneglm.web.runs import Run, seconds_left
from tuneglm.web.words import Words


def plan_line(plan: Mapping[str, Any], words: Words) -> str:
    """Whether a run fits, its memory, the time of a step, the largest batch."""
    from tuneglm.plan.capacity import gib
    from tuneglm.reports.plan import seconds_text

    kind, verdict = {
        True: ("fits", words("plan.fits")),
        False: ("too-large", words("plan.too_large")),
        None: ("", words("plan.unknown")),
    }[plan["fits"]]
    peak, available = gib(plan["peak"]), plan["available"]
    parts = [
        words("plan.memory_of", peak=peak, available=gib(available))
        if available
        else words("plan.memory", peak=peak)
    ]
    if plan["seconds_per_step"]:
        parts.append(words("plan.step", time=seconds_text(plan["seconds_per_step"])))
    if plan["largest_batch"]:
        parts.append(words("plan.largest", count=plan["largest_batch"]))
    cheapest = next((each for each in plan["choices"] if each["cheapest"]), None)
    hint = ""
    if plan["fits"] is False and cheapest is not None:
        bits = f" · model.bits={cheapest['bits']}" if cheapest["bits"] else ""
        saving = " · gradient_checkpointing" if cheapest["gradient_checkpointing"] else ""
        hint = f'<div class="hint">{words("plan.instead")} {cheapest["method"]}{bits}{saving}</div>'
    return (
        f'<div class="plan {kind}"><b>{verdict}</b> '
        f"{escape(' · '.join(parts))}{hint}<small>tuneglm plan run.yaml</small></div>"
    )


def run_card(run: Run, words: Words) -> str:
    """A run's state, how far it is, its last loss, the time left, the command."""
    state, log = run.state(), run.log()
    steps, done = run.steps(), log[-1]["step"] if log else 0
    share = min(1.0, done / steps) if steps else 0.0
    share = 1.0 if state == "finished" else share
    figures = [f"{words('run.step')} {done:,}" + (f" / {steps:,}" if steps else "")]
    losses = [entry["loss"] for entry in log if "loss" in entry]
    figures += [f"{words('run.loss')} {losses[-1]:.4f}"] if losses else []
    left = seconds_left(log, steps) if state == "running" else None
    if left is not None and done < (steps or 0):
        figures.append(words("run.left", time=duration(left)))
    elif state == "running":
        figures.append(words("run.starting" if not log else "run.ending"))
    said = ""
    if state == "failed":
        sentence, _, hint = run.process.error().removeprefix("Error: ").partition("\n  hint: ")
        said = words.refusal(sentence, hint)
    typed = escape(command(*run.process.words)) if run.process.words else ""
    return (
        f'<div class="run {state}"><h3>{escape(run.name)} <em>{words(f"run.{state}")}</em></h3>'
        f'<div class="meter"><i style="width:{100 * share:.1f}%"></i></div>'
        f"<p>{escape(' · '.join(figures))}</p>{said}"
        + (f"<code>{typed}</code>" if typed else f'<p class="note">{words("run.elsewhere")}</p>')
        + "</div>"
    )
