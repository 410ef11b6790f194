"""Export: `tuneglm export` of a result into a folder of its own."""

from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from tuneglm.errors import OutputError, UserError
from tuneglm.reports.terminal import command
from tuneglm.web.background import Background
from tuneglm.web.commands import command_card
from tuneglm.web.files import is_answering
from tuneglm.web.record import QUIET, SECONDS_BETWEEN_LOOKS, SHOWN, Page, Tab, offered

KIND = "export"
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
        with gr.Column(scale=2, min_width=300):
            gr.HTML(
                f"<p class='lead'>{words('export.lead')}</p>", padding=False, elem_classes="ours"
            )
            result = gr.Dropdown(
                choices=[],
                allow_custom_value=True,
                label=words("export.result"),
                elem_id="export-result",
            )
            name = gr.Textbox(
                label=words("export.name"),
                info=words("export.name_help"),
                max_lines=1,
                elem_id="export-name",
            )
            with gr.Row():
                chosen = tuple(
                    gr.Dropdown(
                        choices=[as_it_is, *((choice, choice) for choice in choices)],
                        value="",
                        label=words(f"export.{key}"),
                        info=words(f"export.{key}_help"),
                        min_width=150,
                        elem_id=f"export-{key}",
                    )
                    for key, choices in CHOICES.items()
                )
            alone = gr.Checkbox(
                label=words("export.alone"), info=words("export.alone_help"), elem_id="export-alone"
            )
            with gr.Row():
                start = gr.Button(words("export.start"), variant="primary", elem_id="export")
                stop = gr.Button(words("command.stop"))
            said = gr.HTML(padding=False, elem_classes="ours", elem_id="export-said")
        with gr.Column(scale=3, min_width=300):
            card = gr.HTML(padding=False, elem_classes="ours", elem_id="export-card")
            there = gr.HTML(padding=False, elem_classes="ours", elem_id="exports")
    seen = gr.State("")
    looked = [seen], [card, there, seen]
    start.click(acts.start, [result, name, alone, *chosen], said, **SHOWN).then(
        acts.look, *looked, **QUIET
    )
    stop.click(acts.stop, None, said, **QUIET)
    result.change(lambda chosen: _free_name(chosen), result, name, **QUIET)
    gr.Timer(SECONDS_BETWEEN_LOOKS).tick(acts.look, *looked, **QUIET)
    return Tab(acts.refresh, [result], [result], {"result": result})


def _free_name(chosen: str) -> str:
    return f"{chosen.rpartition('/')[2]}-whole" if chosen else ""


def _line(folder: Path) -> str:
    """Where an export lies, and how to talk to it where tuneglm reads it."""
    typed = command("chat", str(folder)) if is_answering(folder) else str(folder)
    return f"<li><b>{escape(folder.name)}</b><br><code>{escape(typed)}</code></li>"


class ExportActs:
    """What happens when something of the tab is used."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.words = page.words

    def refresh(self, result: str, request: gr.Request) -> Any:
        """What there is to choose."""
        names = [*self.page.site.answering(self.page.place(request))]
        return offered(names, result, names[0])

    def start(self, request: gr.Request, result: str, name: str, alone: bool, *chosen: str) -> str:
        """Run the command."""
        place = self.page.place(request)
        try:
            path = self.page.site.answering_path(place, result)
            target = place.export((name or "").strip())
            if target.exists():
                raise OutputError(
                    f"There is something called `{target.name}` already.", "choose another name"
                )
            words = ["export", path, str(target)]
            for option, value in zip(CHOICES, chosen, strict=True):
                words += [f"--{option}", value] if value in CHOICES[option] else []
            words += ["--adapter-only"] if alone else []
            Background(place.process(KIND)).start(words, place.root)
        except UserError as error:
            return self.words.error(error)
        return ""

    def stop(self, request: gr.Request) -> str:
        """Ask the command to end."""
        Background(self.page.place(request).process(KIND)).stop()
        return ""

    def look(self, seen: str, request: gr.Request) -> tuple[Any, Any, Any]:
        """The command and what was exported, where anything of it has changed."""
        place = self.page.place(request)
        card = command_card(Background(place.process(KIND)), self.words)
        lines = "".join(map(_line, place.exported()))
        there = (
            f"<h4>{self.words('export.there')}</h4><ul class='exports'>{lines}</ul>"
            if lines
            else f'<div class="empty">{self.words("export.empty")}</div>'
        )
        now = repr((card, there))
        return (gr.skip(), gr.skip(), gr.skip()) if now == seen else (card, there, now)
