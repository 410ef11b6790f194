"""The runs there are: one of them live, others beside it, by nothing but their folders."""

from typing import Any

import gradio as gr

from tuneglm.errors import UserError
from tuneglm.web.compared import differences
from tuneglm.web.curve import Line, drawn
from tuneglm.web.files import Workplace
from tuneglm.web.paths import shown
from tuneglm.web.record import QUIET, SECONDS_BETWEEN_LOOKS, Page
from tuneglm.web.runs import Run, curve_of, go_on, runs_of, stop
from tuneglm.web.verdict import run_card

# of what a run prints
SHOWN_LINES = 200


def add_runs(page: Page) -> "Watch":
    """The components and events of the lower half of the tab."""
    watch = Watch(page)
    words = page.words
    gr.HTML(f"<h2>{words('run.title')}</h2>", padding=False, elem_classes="ours")
    watch.run = gr.Dropdown(
        choices=[], allow_custom_value=True, label=words("run.chosen"), elem_id="run"
    )
    watch.card = gr.HTML(padding=False, elem_classes="ours", elem_id="card")
    with gr.Row():
        stop_button = gr.Button(words("run.stop"), visible=False, min_width=90, elem_id="stop")
        go_on_button = gr.Button(words("run.go_on"), visible=False, min_width=90, elem_id="go-on")
        watch.talk = gr.Button(
            words("run.talk"), visible=False, variant="primary", min_width=90, elem_id="talk"
        )
    said = gr.HTML(padding=False, elem_classes="ours", elem_id="run-said")
    watch.curve = gr.HTML(padding=False, elem_classes="ours", elem_id="curve")
    watch.others = gr.Dropdown(
        choices=[],
        multiselect=True,
        allow_custom_value=True,
        label=words("run.others"),
        info=words("run.others_help"),
        elem_id="others",
    )
    with gr.Accordion(words("run.output"), open=False):
        watch.output = gr.Code(
            language=None, interactive=False, max_lines=22, show_label=False, elem_id="output"
        )
    with gr.Accordion(words("run.file"), open=False):
        watch.file = gr.Code(language="yaml", interactive=False, show_label=False)
    watch.seen = gr.State("")
    watch.buttons = [stop_button, go_on_button, watch.talk]
    timer = gr.Timer(SECONDS_BETWEEN_LOOKS)
    timer.tick(watch.look, watch.inputs, watch.outputs, **QUIET)
    for part in (watch.run, watch.others):
        part.input(watch.look, watch.inputs, watch.outputs, **QUIET)
    stop_button.click(watch.stop, watch.run, said, **QUIET)
    go_on_button.click(watch.go_on, watch.run, said, **QUIET)
    return watch


class Watch:
    """What is shown of runs, and read anew every few seconds."""

    run: Any
    others: Any
    card: Any
    curve: Any
    output: Any
    file: Any
    talk: Any
    seen: Any
    buttons: list[Any]

    def __init__(self, page: Page) -> None:
        self.page = page
        self.words = page.words

    @property
    def inputs(self) -> list[Any]:
        """Of `look`."""
        return [self.run, self.others, self.seen]

    @property
    def outputs(self) -> list[Any]:
        """Of `look`."""
        shown = [self.card, self.curve, self.output, self.file]
        return [self.run, self.others, self.seen, *shown, *self.buttons]

    @staticmethod
    def runs(place: Workplace) -> list[Run]:
        """Those of a workplace, the newest first."""
        return runs_of(place)

    def look(self, name: str, others: list[str], seen: str, request: gr.Request) -> list[Any]:
        """Everything that is shown, where anything of it has changed."""
        place = self.page.place(request)
        names = [run.name for run in runs_of(place)]
        chosen = name if name in names else (names[0] if names else "")
        lines = [Run(place.run(each)) for each in dict.fromkeys([chosen, *(others or [])]) if each]
        known = [run for run in lines if run.name in names]
        card = shown(run_card(known[0], self.words), place.root) if known else self._none()
        state = known[0].state() if known else ""
        curve = shown(self._curve(known), place.root)
        output = _last_lines(shown(known[0].process.output(), place.root)) if known else ""
        now = repr((names, chosen, others, card, curve, output))
        if now == seen:
            return [gr.skip() for _ in self.outputs]
        return [
            gr.Dropdown(choices=names, value=chosen or None),
            gr.Dropdown(choices=[each for each in names if each != chosen]),
            now,
            card,
            curve,
            output,
            known[0].yaml() if known else "",
            gr.Button(visible=state == "running"),
            gr.Button(visible=state in ("stopped", "failed")),
            gr.Button(visible=state == "finished"),
        ]

    def stop(self, name: str, request: gr.Request) -> str:
        """Ask a run to save and end."""
        place = self.page.place(request)
        try:
            stop(place, name)
        except UserError as error:
            return self.page.refusal(error, place)
        return self.words.good("run.stopping", name=name)

    def go_on(self, name: str, request: gr.Request) -> str:
        """Start it again."""
        site, place = self.page.site, self.page.place(request)
        try:
            go_on(place, name, site.at_once, site.at_work())
        except UserError as error:
            return self.page.refusal(error, place)
        return self.words.good("run.goes_on", name=name)

    def _none(self) -> str:
        return f'<div class="empty">{self.words("run.none")}</div>'

    def _curve(self, runs: list[Run]) -> str:
        words = self.words
        lines = [
            Line(run.name, curve_of(log, "loss"), curve_of(log, "eval_loss"))
            for run in runs
            for log in [run.log()]
        ]
        curve = drawn(
            lines,
            step=words("run.step"),
            evaluation=words("run.evaluation"),
            empty=words("run.no_curve"),
        )
        return curve + (differences(runs, words) if len(runs) > 1 else "")


def _last_lines(text: str) -> str:
    return "\n".join(text.splitlines()[-SHOWN_LINES:])
