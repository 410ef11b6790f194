"""Evaluate: `tuneglm evaluate` of a result, and the report that it writes."""

import base64
import re
import zlib
from pathlib import Path
from typing import Any

import gradio as gr

from tuneglm.errors import ConfigError
from tuneglm.evaluation.suites import SUITES
from tuneglm.web.commands import ResultCommand
from tuneglm.web.files import Workplace
from tuneglm.web.paths import shown, typed
from tuneglm.web.record import Page, Tab, offered

FOLDER, REPORT, CHART = "evaluation", "report.md", "report.png"


def add_evaluate(page: Page) -> Tab:
    """The tab's components and events."""
    words = page.words
    acts = EvaluateActs(page)
    with gr.Row(equal_height=False):
        with acts.command.column():
            data = gr.Dropdown(
                choices=[],
                allow_custom_value=True,
                label=words("evaluate.data"),
                info=words("evaluate.data_help"),
                elem_id="evaluate-data",
            )
            base = gr.Checkbox(
                label=words("evaluate.base"),
                info=words("evaluate.base_help"),
                elem_id="evaluate-base",
            )
        with gr.Column(scale=3, min_width=300):
            report = gr.Markdown(acts.empty, elem_classes="ours", elem_id="report")
            chart = gr.HTML(padding=False, elem_classes="ours", elem_id="chart")
    seen, result = gr.State(""), acts.command.parts["result"]
    outputs = [acts.command.parts["card"], report, chart, seen]
    acts.command.connect(acts.start, [result, data, base], acts.look, [result, data, seen], outputs)
    return Tab(acts.refresh, [result, data], [result, data], {"result": result})


class EvaluateActs:
    """What happens when something of the tab is used."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.command = ResultCommand(page, "evaluate")

    @property
    def empty(self) -> str:
        """What stands where no report is."""
        return f"<div class='empty'>{self.page.words('evaluate.empty')}</div>"

    def refresh(self, result: str, data: str, request: gr.Request) -> tuple[Any, Any]:
        """What there is to choose."""
        site, place = self.page.site, self.page.place(request)
        names = [*self._results(place)]
        nothing = (self.page.words("evaluate.own"), "")
        sets = [(name, name) for name in [*site.data_choices(place), *self._suites()]]
        return (
            offered(names, result, next(iter(names), None)),
            offered([nothing, *sets], data, ""),
        )

    def start(self, result: str, data: str, base: bool, request: gr.Request) -> str:
        """Run the command."""
        return self.command.start(
            lambda place: self._words(place, result, data or "", base), request
        )

    def look(self, result: str, data: str, seen: str, request: gr.Request) -> tuple[Any, ...]:
        """The command and the report, where anything of them has changed."""
        place = self.page.place(request)
        card, folder = self.command.card(place), self._results(place).get(result or "")
        text, chart = _report(folder / _folder_for(data or "")) if folder is not None else ("", "")
        text = shown(text, place.root) or self.empty
        now = repr((card, text))
        return (gr.skip(),) * 4 if now == seen else (card, text, chart, now)

    def _words(self, place: Workplace, result: str, data: str, base: bool) -> list[str]:
        results = self._results(place)
        if result not in results:
            raise ConfigError("No result is chosen.", "train a run first, then choose it here")
        folder = typed(results[result], place.root)
        words = ["evaluate", folder, *self._matter(place, data), *(["--base"] if base else [])]
        # each choice of data has a report of its own: another evaluation is not written over it
        return [*words, "--output", f"{folder}/{_folder_for(data)}", *self._language()]

    def _matter(self, place: Workplace, data: str) -> list[str]:
        if not data:
            return []
        site = self.page.site
        if data in self._suites():
            return ["--suite", f"{data}={typed(site.data / data, place.root)}"]
        entry = site.entry(place, data)
        if "path" in entry:
            return ["--data", typed(entry["path"], place.root)]
        return ["--data", entry["name"], "--dir", typed(site.data, place.root)]

    def _language(self) -> list[str]:
        return ["--language", self.page.words.language]

    def _suites(self) -> list[str]:
        return [name for name in SUITES if (self.page.site.data / name).is_dir()]

    def _results(self, place: Workplace) -> dict[str, Path]:
        """What the page itself made: a report is written beside it."""
        site = self.page.site
        known = site.answering(place).items()
        return {name: path for name, path in known if name not in site.models}


def _folder_for(data: str) -> str:
    """Of the report, within the folder of a result."""
    name = re.sub(r"[^\w.-]+", "-", data)
    if name != data:
        # two names that became one
        name += f"-{zlib.crc32(data.encode()):08x}"
    return f"{FOLDER}-{name}" if data else FOLDER


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
