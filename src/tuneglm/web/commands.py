"""A command that was started in the background, as the page shows it."""

from html import escape

from tuneglm.reports.terminal import command
from tuneglm.web.background import Background
from tuneglm.web.words import Words

SHOWN_LINES = 30


def command_card(process: Background, words: Words) -> str:
    """The command, whether it is at work, and the end of what it printed; nothing of none."""
    if not process.words:
        return ""
    is_running, error = process.is_running(), process.error()
    state = "running" if is_running else "failed" if error else "finished"
    sentence, _, hint = error.removeprefix("Error: ").partition("\n  hint: ")
    said = words.refusal(sentence, hint) if error and not is_running else ""
    lines = "\n".join(process.output().splitlines()[-SHOWN_LINES:])
    output = f"<pre>{escape(lines)}</pre>" if lines and not said else ""
    return (
        f'<div class="run {state}"><h3><em>{words(f"command.{state}")}</em></h3>'
        f"<code>{escape(command(*process.words))}</code>{said}{output}</div>"
    )
