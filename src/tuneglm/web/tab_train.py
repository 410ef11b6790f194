"""Train: fill in a run, start it, and see what becomes of it."""

from collections.abc import Iterator
from typing import Any

import gradio as gr

from tuneglm.errors import ConfigError, UserError
from tuneglm.reports.terminal import command
from tuneglm.web.form import as_yaml
from tuneglm.web.record import QUIET, SHOWN, Page, Tab, offered
from tuneglm.web.runs import begin, free_name, train_words
from tuneglm.web.tab_runs import Watch, add_runs
from tuneglm.web.train_form import EXAMPLE, Form, judge
from tuneglm.web.verdict import plan_line

# what is done while somebody types
PATIENCE = 1.0


def add_train(page: Page) -> Tab:
    """The tab's components and events."""
    words = page.words
    form = Form(page)
    acts = TrainActs(page, form)
    with gr.Row(equal_height=False):
        with gr.Column(scale=1, min_width=300):
            form.add()
        with gr.Column(scale=1, min_width=300, elem_classes="beside"):
            plan = gr.HTML(padding=False, elem_classes="ours", elem_id="plan")
            run_name = gr.Textbox(
                label=words("train.run_name"),
                info=words("train.run_name_help"),
                max_lines=1,
                elem_id="run-name",
            )
            form.parts["run_name"] = run_name
            wrong = gr.HTML(padding=False, elem_classes="ours", elem_id="wrong")
            start = gr.Button(words("train.start"), variant="primary", elem_id="start")
            said = gr.HTML(padding=False, elem_classes="ours", elem_id="train-said")
            with gr.Accordion(words("train.what"), open=False):
                typed = gr.Code(
                    label=words("train.command"), language="shell", interactive=False, lines=1
                )
                yaml = gr.Code(
                    label=words("train.yaml"), language="yaml", interactive=False, elem_id="yaml"
                )
            watch = add_runs(page)
    inputs = [form.parts[key] for key in form.keys]
    gr.on(
        [part.change for part in inputs],
        acts.described,
        inputs,
        [yaml, typed, wrong],
        trigger_mode="always_last",
        **QUIET,
    )
    yaml.change(acts.planned, inputs, plan, trigger_mode="multiple", **QUIET)
    started = start.click(acts.start, inputs, [said, watch.run, run_name], **SHOWN)
    started.then(watch.look, watch.inputs, watch.outputs, **QUIET)
    form.example.click(acts.filled_in, None, [form.parts[key] for key in form.filled_keys], **QUIET)
    refreshed = [form.parts["data"], run_name]
    return Tab(
        acts.refresh,
        refreshed,
        refreshed,
        {"data": form.parts["data"], "talk": watch.talk, "run": watch.run},
    )


class TrainActs:
    """What happens when something of the tab is used."""

    def __init__(self, page: Page, form: Form) -> None:
        self.page = page
        self.form = form

    def refresh(self, data: list[str], run_name: str, request: gr.Request) -> tuple[Any, Any]:
        """What there is to choose, and a name that is free."""
        site, place = self.page.site, self.page.place(request)
        return (
            offered(site.data_choices(place), data),
            gr.skip() if run_name else free_name(place, "run"),
        )

    def filled_in(self) -> list[Any]:
        """The example's values."""
        return ["lora", *(EXAMPLE[key] for key in EXAMPLE)]

    def described(self, request: gr.Request, *values: Any) -> tuple[str, str, str]:
        """The run file and the command, as they would be; a sentence where they cannot be."""
        given, place = self.form.given(values), self.page.place(request)
        try:
            yaml = self.form.yaml(given, place)
            typed = command(*train_words(place, given["run_name"] or "run"))
            judge(yaml)
        except UserError as error:
            return "", "", self.page.refusal(error, place)
        return yaml, typed, ""

    def planned(self, request: gr.Request, *values: Any) -> Iterator[str]:
        """Will it fit: asked of `tuneglm plan` once nobody types any more."""
        words, place = self.page.words, self.page.place(request)
        who = str(request.session_hash)
        given = self.form.given(values)
        try:
            tree = self.form.tree(given, place)
        except UserError:
            tree = {"data": {}}
        if not tree["data"].keys() & {"train", "identity"}:
            yield ""
            return
        tree.get("training", {}).pop("output_dir", None)
        asked = as_yaml(tree)
        known = self.page.plans.known(asked)
        if known is not None:
            yield plan_line(known, words)
            return
        yield f'<div class="plan waiting">{words("plan.waiting")}</div>'
        try:
            for answer in self.page.plans.ask(who, asked, place.root, PATIENCE):
                yield plan_line(answer, words)
        except UserError as error:
            yield self.page.refusal(error, place)

    def start(self, request: gr.Request, *values: Any) -> tuple[str, Any, Any]:
        """Begin the run."""
        given, place, site = self.form.given(values), self.page.place(request), self.page.site
        name = given["run_name"].strip()
        try:
            if not given["data"] and not given["name"]:
                raise ConfigError(
                    "There is nothing to learn.", "choose data, or say who the model is to be"
                )
            run = begin(place, name, self.form.yaml(given, place), site.at_once, site.at_work())
        except UserError as error:
            return self.page.refusal(error, place), gr.skip(), gr.skip()
        # a plan takes processors that the run wants
        self.page.plans.give_up(str(request.session_hash))
        said = self.page.words.good("train.started", name=run.name)
        names = [each.name for each in Watch.runs(place)]
        return said, gr.Dropdown(choices=names, value=run.name), free_name(place, "run")
