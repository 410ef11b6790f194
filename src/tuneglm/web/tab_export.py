"""Export: `tuneglm export` of a result into a folder of its own."""

from html import escape
from itertools import chain, count
from pathlib import Path
from typing import Any

import gradio as gr

from tuneglm.errors import OutputError
from tuneglm.reports.terminal import command
from tuneglm.web.commands import ResultCommand
from tuneglm.web.files import Workplace, is_answering
from tuneglm.web.paths import typed
from tuneglm.web.record import QUIET, Page, Tab, offered

# options of the command that are one of a few words
CHOICES = {
    "layout": ("published", "native"),
    "bits": ("8", "4"),
    "dtype": ("float16", "bfloat16", "float32"),
    "format": ("safetensors", "gguf"),
}


def add_export(page: Page) -> Tab:
    """The tab's components and events."""
    words = page.words
    acts = ExportActs(page)
    as_it_is = (words("export.as_it_is"), "")
    with gr.Row(equal_height=False):
        with acts.command.column():
            name = gr.Textbox(
                label=words("export.name"),
                info=words("export.name_help"),
                max_lines=1,
                elem_id="export-name",
            )
            with gr.Row():
                chosen = [
                    gr.Dropdown(
                        choices=[as_it_is, *((choice, choice) for choice in choices)],
                        value="",
                        label=words(f"export.{key}"),
                        info=words(f"export.{key}_help"),
                        min_width=150,
                        elem_id=f"export-{key}",
                    )
                    for key, choices in CHOICES.items()
                ]
            alone = gr.Checkbox(
                label=words("export.alone"), info=words("export.alone_help"), elem_id="export-alone"
            )
        with gr.Column(scale=3, min_width=300):
            there = gr.HTML(padding=False, elem_classes="ours", elem_id="exports")
    seen, result = gr.State(""), acts.command.parts["result"]
    outputs = [acts.command.parts["card"], there, seen]
    acts.command.connect(acts.start, [result, name, alone, *chosen], acts.look, [seen], outputs)
    result.change(acts.free_name, result, name, **QUIET)
    return Tab(acts.refresh, [result], [result], {"result": result})


class ExportActs:
    """What happens when something of the tab is used."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.command = ResultCommand(page, "export")

    def refresh(self, result: str, request: gr.Request) -> Any:
        """What there is to choose."""
        names = [*self.page.site.answering(self.page.place(request))]
        return offered(names, result, names[0])

    def free_name(self, result: str, request: gr.Request) -> str:
        """A name for the export that is not taken."""
        stem, place = result.rpartition("/")[2] if result else "", self.page.place(request)
        taken = {folder.name for folder in place.exported()}
        names = chain([f"{stem}-whole"], (f"{stem}-whole-{number}" for number in count(2)))
        return next(name for name in names if name not in taken) if stem else ""

    def start(self, request: gr.Request, result: str, name: str, alone: bool, *chosen: str) -> str:
        """Run the command."""

        def words_in(place: Workplace) -> list[str]:
            path = self.page.site.answering_path(place, result)
            target = place.export((name or "").strip())
            if target.exists():
                raise OutputError(
                    f"There is something called `{target.name}` already.", "choose another name"
                )
            words = ["export", typed(path, place.root), typed(target, place.root)]
            for option, value in zip(CHOICES, chosen, strict=True):
                words += [f"--{option}", value] if value in CHOICES[option] else []
            return [*words, *(["--adapter-only"] if alone else [])]

        return self.command.start(words_in, request)

    def look(self, seen: str, request: gr.Request) -> tuple[Any, Any, Any]:
        """The command and what was exported, where anything of it has changed."""
        words, place = self.page.words, self.page.place(request)
        card = self.command.card(place)
        lines = "".join(_line(folder, place) for folder in place.exported())
        there = (
            f"<h4>{words('export.there')}</h4><ul class='exports'>{lines}</ul>"
            if lines
            else f'<div class="empty">{words("export.empty")}</div>'
        )
        now = repr((card, there))
        return (gr.skip(), gr.skip(), gr.skip()) if now == seen else (card, there, now)


def _line(folder: Path, place: Workplace) -> str:
    """Where an export lies, and how to talk to it where tuneglm reads it."""
    path = typed(folder, place.root)
    said = command("chat", path) if is_answering(folder) else path
    return f"<li><b>{escape(folder.name)}</b><br><code>{escape(said)}</code></li>"
