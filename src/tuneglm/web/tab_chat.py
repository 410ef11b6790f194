"""Chat: ask what was tuned, and beside it what it was tuned from."""

from collections.abc import Iterator, Sequence
from typing import Any

import gradio as gr

from tuneglm.config import ChatConfig, chat_config
from tuneglm.errors import UserError
from tuneglm.reports.terminal import command
from tuneglm.run_file import read_yaml
from tuneglm.web.fields import Field, fields_of
from tuneglm.web.form_view import components
from tuneglm.web.paths import typed
from tuneglm.web.record import QUIET, SHOWN, Page, Tab, offered
from tuneglm.web.talk import turns

History = list[dict[str, Any]]
SAMPLING: tuple[Field, ...] = tuple(fields_of("chat", ChatConfig))


def add_chat(page: Page) -> Tab:
    """The tab's components and events."""
    words = page.words
    acts = ChatActs(page)
    with gr.Row():
        model = gr.Dropdown(
            choices=[],
            allow_custom_value=True,
            label=words("chat.model"),
            info=words("chat.model_help"),
            elem_id="chat-model",
            scale=3,
            min_width=240,
        )
        beside = gr.Checkbox(
            label=words("chat.beside"),
            info=words("chat.beside_help"),
            elem_id="beside",
            scale=2,
            min_width=220,
        )
    with gr.Accordion(words("chat.sampling"), open=False):
        sampling = components(SAMPLING, words)
    said = gr.HTML(padding=False, elem_classes="ours", elem_id="chat-said")
    with gr.Row(equal_height=True):
        tuned = _chatbot(words("chat.tuned"), words("chat.empty"), "tuned")
        base = _chatbot(words("chat.base"), words("chat.empty"), "base", visible=False)
    with gr.Row(equal_height=True):
        question = gr.Textbox(
            placeholder=words("chat.ask"),
            show_label=False,
            container=False,
            lines=1,
            max_lines=6,
            scale=8,
            min_width=160,
            elem_id="question",
            autofocus=False,
        )
        send = gr.Button(words("chat.send"), variant="primary", min_width=80, elem_id="send")
        stop = gr.Button(words("chat.stop"), min_width=70)
        clear = gr.Button(words("chat.clear"), min_width=70)
    typed_so = gr.HTML(padding=False, elem_classes="ours", elem_id="chat-typed")
    settings = [model, beside, tuned, base, *sampling.values()]
    outputs = [tuned, base, said]
    asked = gr.on(
        [send.click, question.submit],
        acts.ask,
        [question, *settings],
        [question, *outputs],
        **SHOWN,
    )
    again = tuned.retry(acts.retry, settings, outputs, **SHOWN)
    edited = tuned.edit(acts.edit, settings, outputs, **SHOWN)
    tuned.undo(acts.undo, [tuned, base], [question, tuned, base], **QUIET)
    stop.click(None, cancels=[asked, again, edited], api_visibility="private")
    clear.click(lambda: ([], [], ""), None, outputs, cancels=[asked, again, edited], **QUIET)
    beside.change(lambda on: gr.Chatbot(visible=on), beside, base, **QUIET)
    said_by = [model, beside, *sampling.values()]
    gr.on([part.change for part in said_by], acts.typed, said_by, typed_so, **QUIET)
    return Tab(acts.refresh, [model], [model], {"result": model})


def _chatbot(label: str, empty: str, name: str, *, visible: bool = True) -> gr.Chatbot:
    return gr.Chatbot(
        label=label,
        placeholder=f"<p class='empty'>{empty}</p>",
        visible=visible,
        elem_id=name,
        editable="user" if name == "tuned" else None,
        height=420,
        buttons=["copy"],
        layout="bubble",
        allow_tags=False,
    )


class ChatActs:
    """What happens when something of the tab is used."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.words = page.words

    def refresh(self, model: str, request: gr.Request) -> Any:
        """What can be talked to; the first choice is what the command line named."""
        names = [*self.page.site.answering(self.page.place(request))]
        first = self.page.chosen if self.page.chosen in names else names[0]
        return offered(names, model, first)

    def typed(self, name: str, beside: bool, request: gr.Request, *drawn: Any) -> str:
        """The command that talks to the same at a terminal, as HTML."""
        place = self.page.place(request)
        try:
            path = self.page.site.answering_path(place, name)
        except UserError:
            return ""
        words = ["chat", typed(path, place.root), *(["--compare", "base"] if beside else [])]
        for field, given in zip(SAMPLING, drawn, strict=True):
            if given != field.shown:
                words += [f"--{field.key.partition('.')[2].replace('_', '-')}", str(given)]
        return self.page.words.typed(command(*words))

    def ask(self, question: str, request: gr.Request, *settings: Any) -> Iterator[tuple[Any, ...]]:
        """Answer a question."""
        if not question.strip():
            yield gr.skip(), gr.skip(), gr.skip(), ""
            return
        box: Any = ""
        for tuned, base, said in self._answers(question, settings[2], settings, request):
            # what could not be asked is not lost, nor what is typed while the answer comes
            yield (question if said else box), tuned, base, said
            box = gr.skip()

    def retry(
        self, event: gr.RetryData, request: gr.Request, *settings: Any
    ) -> Iterator[tuple[Any, Any, str]]:
        """Answer the same question again."""
        place = _place(event.index)
        question = turns(settings[2])[place]["content"]
        history = settings[2][:place]
        yield from self._answers(question, history, settings, request)

    def edit(
        self, event: gr.EditData, request: gr.Request, *settings: Any
    ) -> Iterator[tuple[Any, Any, str]]:
        """Ask in other words; what came after is forgotten."""
        history = settings[2][: _place(event.index)]
        yield from self._answers(str(event.value), history, settings, request)

    def undo(self, tuned: History, base: History, event: gr.UndoData) -> tuple[str, Any, Any]:
        """Take the last question back, to be asked otherwise."""
        place = _place(event.index)
        return turns(tuned)[place]["content"], tuned[:place], base[:place]

    def _answers(
        self, question: str, history: History, settings: Sequence[Any], request: gr.Request
    ) -> Iterator[tuple[Any, Any, str]]:
        """The history of both sides as it grows, and what is to be said."""
        name, beside, before, other, *drawn = settings
        asked = {"role": "user", "content": question}
        tuned = [*turns(history), asked]
        # the base may have come later into the conversation, and answers from there on
        late = len(before) - len(other)
        base = [*turns(other)[: max(0, len(history) - late)], asked] if beside else []
        place = self.page.place(request)
        try:
            path = self.page.site.answering_path(place, name)
            config = _config(drawn)
            yield tuned, base, ""
            for text in self._grown(path, tuned, config, None):
                yield [*tuned, {"role": "assistant", "content": text}], base, ""
                answer = text
            tuned.append({"role": "assistant", "content": answer})
            if beside:
                beneath = self.page.site.base_of(place, name)
                for text in self._grown(path, base, config, beneath):
                    yield tuned, [*base, {"role": "assistant", "content": text}], ""
        except UserError as error:
            yield turns(history), turns(other), self.page.refusal(error, place)

    def _grown(
        self, path: str, conversation: History, config: ChatConfig, base: str | None
    ) -> Iterator[str]:
        text = ""
        for piece in self.page.models.stream(path, conversation, config, base=base):
            text += piece
            yield text
        if not text.strip():
            yield self.words("chat.nothing")


def _config(drawn: Sequence[Any]) -> ChatConfig:
    values = {}
    for field, given in zip(SAMPLING, drawn, strict=True):
        name = field.key.partition(".")[2]
        if name == "system":
            values[name] = given or ""
        elif str(given).strip():
            values[name] = read_yaml(str(given))
    return chat_config(values)


def _place(index: int | tuple[int, int]) -> int:
    """Of a message in the history."""
    return index if isinstance(index, int) else index[0]
