"""A command on a result, in the background: what starts and stops it, and what is shown of it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from typing import Any

import gradio as gr

from tuneglm.errors import UserError
from tuneglm.reports.terminal import command
from tuneglm.web.background import Background
from tuneglm.web.files import Workplace
from tuneglm.web.paths import shown
from tuneglm.web.record import QUIET, SECONDS_BETWEEN_LOOKS, SHOWN, Page
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


@dataclass
class ResultCommand:
    """The half of a tab that runs a command on a result: the result, buttons, how it goes.

    kind   the command, as the words of the page and the folder of its process are called
    parts  its components by name
    """

    page: Page
    kind: str
    parts: dict[str, Any] = field(default_factory=dict)

    @contextmanager
    def column(self) -> Iterator[None]:
        """The components; those of the block stand between the result and the buttons."""
        words, kind, parts = self.page.words, self.kind, self.parts
        with gr.Column(scale=2, min_width=300):
            gr.HTML(
                f"<p class='lead'>{words(f'{kind}.lead')}</p>", padding=False, elem_classes="ours"
            )
            parts["result"] = gr.Dropdown(
                choices=[],
                allow_custom_value=True,
                label=words(f"{kind}.result"),
                elem_id=f"{kind}-result",
            )
            yield
            with gr.Row():
                parts["start"] = gr.Button(
                    words(f"{kind}.start"), variant="primary", elem_id=kind, min_width=120
                )
                parts["stop"] = gr.Button(words("command.stop"), min_width=90)
            parts["said"] = gr.HTML(padding=False, elem_classes="ours", elem_id=f"{kind}-said")
            parts["card"] = gr.HTML(padding=False, elem_classes="ours", elem_id=f"{kind}-card")

    def connect(
        self,
        start: Callable[..., str],
        given: Sequence[Any],
        look: Callable[..., Any],
        seen: Sequence[Any],
        outputs: Sequence[Any],
    ) -> None:
        """`start` with what is `given` when the button is pressed; `look` then, and ever again."""
        parts, looked = self.parts, ([*seen], [*outputs])
        started = parts["start"].click(start, [*given], parts["said"], **SHOWN)
        started.then(look, *looked, **QUIET)
        parts["stop"].click(self.stop, None, parts["said"], **QUIET)
        gr.Timer(SECONDS_BETWEEN_LOOKS).tick(look, *looked, **QUIET)

    def start(self, words_of: Callable[[Workplace], Sequence[str]], request: gr.Request) -> str:
        """Run the command whose words are given; what is to be said of it."""
        place = self.page.place(request)
        try:
            self._process(place).start(words_of(place), place.root)
        except UserError as error:
            return self.page.refusal(error, place)
        return ""

    def stop(self, request: gr.Request) -> str:
        """Ask it to end."""
        self._process(self.page.place(request)).stop()
        return ""

    def card(self, place: Workplace) -> str:
        """How it goes, as HTML."""
        return shown(command_card(self._process(place), self.page.words), place.root)

    def _process(self, place: Workplace) -> Background:
        return Background(place.process(self.kind))
