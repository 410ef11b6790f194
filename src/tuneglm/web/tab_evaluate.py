"""Evaluate: `tuneglm evaluate` of a result, and the report that it writes."""

import base64
import re
from pathlib import Path
from typing import Any

import gradio as gr

from tuneglm.errors import ConfigError, UserError
from tuneglm.web.background import Background
from tuneglm.web.commands import command_card
from tuneglm.web.files import Workplace
from tuneglm.web.record import QUIET, SECONDS_BETWEEN_LOOKS, SHOWN, Page, Tab, offered

KIND = "evaluate"
FOLDER, REPORT, CHART = "evaluation", "report.md", "report.png"


def add_evaluate(page: Page) -> Tab:
    """The tab's components and events."""
    words = page.words
    acts = EvaluateActs(page)
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=300):
            gr.HTML(
                f"<p class='lead'>{words('evaluate.lead')}</p>", padding=False, elem_classes="ours"
            )
            result = gr.Dropdown(
                choices=[],
                allow_custom_value=True,
                label=words("evaluate.result"),
                elem_id="evaluate-result",
            )
            data = gr.Dropdown(
                choices=[],
                allow_custom_value=True,
                label=words("evaluate.data"),
                info=words("evaluate.data_help"),
                elem_id="evaluate-data",
            )
            base = gr.Checkbox(label=words("evaluate.base"), info=words("evaluate.base_help"))
            with gr.Row():
                start = gr.Button(words("evaluate.start"), variant="primary", elem_id="evaluate")
                stop = gr.Button(words("command.stop"))
            said = gr.HTML(padding=False, elem_classes="ours", elem_id="evaluate-said")
            card = gr.HTML(padding=False, elem_classes="ours", elem_id="evaluate-card")
        with gr.Column(scale=3, min_width=300):
            report = gr.Markdown(
                f"<div class='empty'>{words('evaluate.empty')}</div>",
                elem_classes="ours",
                elem_id="report",
            )
            chart = gr.HTML(padding=False, elem_classes="ours", elem_id="chart")
    seen = gr.State("")
    looked = [result, seen], [card, report, chart, seen]
    start.click(acts.start, [result, data, base], said, **SHOWN).then(acts.look, *looked, **QUIET)
    stop.click(acts.stop, None, said, **QUIET)
    gr.Timer(SECONDS_BETWEEN_LOOKS).tick(acts.look, *looked, **QUIET)
    return Tab(acts.refresh, [result, data], [result, data], {"result": result})


class EvaluateActs:
    """What happens when something of the tab is used."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.words = page.words

    def refresh(self, result: str, data: str, request: gr.Request) -> tuple[Any, Any]:
        """What there is to choose."""
        place = self.page.place(request)
        names = [*_results(self.page, place)]
        return (
            offered(names, result, next(iter(names), None)),
            offered(self.page.site.data_choices(place), data),
        )

    def start(self, result: str, data: str, base: bool, request: gr.Request) -> str:
        """Run the command."""
        place = self.page.place(request)
        try:
            folder = _result(self.page, place, result)
            words = ["evaluate", str(folder)]
            if data:
                words += ["--data", *self.page.site.entry(place, data).values()]
            words += ["--dir", str(self.page.site.data), *(["--base"] if base else [])]
            words += ["--language", self.words.language]
            Background(place.process(KIND)).start(words, place.root)
        except UserError as error:
            return self.words.error(error)
        return ""

    def stop(self, request: gr.Request) -> str:
        """Ask the command to end."""
        Background(self.page.place(request).process(KIND)).stop()
        return ""

    def look(self, result: str, seen: str, request: gr.Request) -> tuple[Any, Any, Any, Any]:
        """The command and the report, where anything of them has changed."""
        place = self.page.place(request)
        card = command_card(Background(place.process(KIND)), self.words)
        folder = _results(self.page, place).get(result or "")
        text, chart = _report(folder / FOLDER) if folder is not None else ("", "")
        shown = text or f"<div class='empty'>{self.words('evaluate.empty')}</div>"
        now = repr((card, shown))
        return (gr.skip(),) * 4 if now == seen else (card, shown, chart, now)


def _report(folder: Path) -> tuple[str, str]:
    """The report as Markdown, and its picture as HTML; nothing of one that is not there."""
    report, chart = folder / REPORT, folder / CHART
    if not report.is_file():
        return "", ""
    # a page cannot fetch what lies beside a file
    text = re.sub(r"!\[[^]]*\]\([^)]*\)", "", report.read_text(encoding="utf-8"))
    if not chart.is_file():
        return text, ""
    encoded = base64.b64encode(chart.read_bytes()).decode("ascii")
    return text, f'<img alt="" class="chart" src="data:image/png;base64,{encoded}">'


def _results(page: Page, place: Workplace) -> dict[str, Path]:
    """What the page itself made: a report is written beside it."""
    models = page.site.models
    return {name: path for name, path in page.site.answering(place).items() if name not in models}


def _result(page: Page, place: Workplace, name: str) -> Path:
    results = _results(page, place)
    if name not in results:
        raise ConfigError("No result is chosen.", "train a run first, then choose it here")
    return results[name]
