"""The page in one language: its head, its tabs, and what they have to do with each other."""

from html import escape

import gradio as gr

from tuneglm.web.paths import folder_shown
from tuneglm.web.record import QUIET, Page
from tuneglm.web.tab_chat import add_chat
from tuneglm.web.tab_data import add_data
from tuneglm.web.tab_evaluate import add_evaluate
from tuneglm.web.tab_export import add_export
from tuneglm.web.tab_train import add_train
from tuneglm.web.words import LANGUAGES, Words


def page_of(page: Page) -> gr.Blocks:
    """All of it; nothing of a person is in it before it is loaded."""
    words = page.words
    with gr.Blocks(title="tuneglm", analytics_enabled=False, fill_width=True) as blocks:
        gr.HTML(_head(words, signed_in=not page.site.is_open), padding=False, elem_classes="ours")
        # what one tab asks of another, such as to talk to a run
        with gr.Tabs(elem_id="tabs") as tabs:
            with gr.Tab(words("data.tab"), id="data") as data_tab:
                data = add_data(page)
            with gr.Tab(words("train.tab"), id="train") as train_tab:
                train = add_train(page)
            with gr.Tab(words("chat.tab"), id="chat") as chat_tab:
                chat = add_chat(page)
            with gr.Tab(words("evaluate.tab"), id="evaluate") as evaluate_tab:
                evaluate = add_evaluate(page)
            with gr.Tab(words("export.tab"), id="export") as export_tab:
                export = add_export(page)
        folder = gr.HTML(padding=False, elem_classes="ours", elem_id="folder")
        data.parts["chosen"].change(
            lambda names: names, data.parts["chosen"], train.parts["data"], **QUIET
        )
        train.parts["talk"].click(
            lambda name: (gr.Tabs(selected="chat"), *[name] * 3),
            train.parts["run"],
            [tabs, *(tab.parts["result"] for tab in (chat, evaluate, export))],
            **QUIET,
        )
        for tab, filled in (
            (data_tab, data),
            (train_tab, train),
            (chat_tab, chat),
            (evaluate_tab, evaluate),
            (export_tab, export),
        ):
            blocks.load(filled.refresh, filled.inputs, filled.outputs, **QUIET)
            tab.select(filled.refresh, filled.inputs, filled.outputs, **QUIET)

        def where(request: gr.Request) -> str:
            name = f"<code>{escape(folder_shown(page.place(request).root))}</code>"
            return f"<p class='note'>{words('page.folder', folder=name)}</p>"

        blocks.load(where, None, folder, **QUIET)
    return blocks


def _head(words: Words, *, signed_in: bool) -> str:
    links = "".join(
        f'<a href="/{language}/" lang="{language}"'
        f"{' class=chosen' if language == words.language else ''}>{name}</a>"
        for language, name in LANGUAGES.items()
    )
    links += f'<a href="/logout">{words("page.leave")}</a>' if signed_in else ""
    return (
        f"<header><div><b>tuneglm</b><span>{words('page.what')}</span></div>"
        f'<nav aria-label="{words("page.language")}">{links}</nav></header>'
    )
