"""Train: fill in a run, start it, and see what becomes of it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from tuneglm.config import load_config
from tuneglm.errors import ConfigError, UserError
from tuneglm.reports.terminal import command
from tuneglm.run_file import read_yaml
from tuneglm.web.files import Workplace
from tuneglm.web.form import (
    METHODS,
    SECTIONS,
    Field,
    as_yaml,
    filled,
    further,
    method_fields,
    section_fields,
    training_fields,
)
from tuneglm.web.form_view import components
from tuneglm.web.record import QUIET, SHOWN, Page, Tab, offered
from tuneglm.web.runs import begin, free_name, train_words
from tuneglm.web.tab_runs import Watch, add_runs
from tuneglm.web.verdict import plan_line

# what is done while somebody types
PATIENCE = 1.0
# settings with which the model that comes with tuneglm learns a name in about a minute
EXAMPLE = {
    "name": "星河",
    "author": "北斗实验室",
    "method.targets": "all",
    "training.learning_rate": "0.003",
    "training.max_steps": "80",
    "training.per_device_train_batch_size": "16",
}
TOP = ("model", "data", "name", "author", "method", "run_name", "further")


def add_train(page: Page) -> Tab:
    """The tab's components and events."""
    words = page.words
    form = Form(page)
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
        form.described,
        inputs,
        [yaml, typed, wrong],
        trigger_mode="always_last",
        **QUIET,
    )
    yaml.change(form.planned, inputs, plan, trigger_mode="multiple", **QUIET)
    started = start.click(form.start, inputs, [said, watch.run, run_name], **SHOWN)
    started.then(watch.look, watch.inputs, watch.outputs, **QUIET)
    form.example.click(form.filled_in, None, [form.parts[key] for key in form.filled_keys], **QUIET)
    return Tab(
        form.refresh,
        [form.parts[key] for key in ("model", "data", "run_name")],
        [form.parts[key] for key in ("model", "data", "run_name")],
        {"data": form.parts["data"], "talk": watch.talk, "run": watch.run},
    )


@dataclass
class Form:
    """The components by key, and what is made of what was filled in."""

    page: Page
    parts: dict[str, Any] = field(default_factory=dict)
    fields: dict[str, Field] = field(default_factory=dict)
    methods: dict[str, dict[str, Field]] = field(default_factory=dict)
    example: Any = None

    @property
    def keys(self) -> list[str]:
        """Of all components, in the order in which they are handed on."""
        return [*TOP, *(key for key in self.parts if key not in TOP)]

    @property
    def filled_keys(self) -> list[str]:
        """Of those that the example fills in."""
        return ["method", *EXAMPLE_KEYS]

    def add(self) -> None:
        """All components but the run's name, which stands beside them."""
        words = self.page.words
        with gr.Row(equal_height=True):
            gr.HTML(
                f"<p class='lead'>{words('train.lead')}</p>", padding=False, elem_classes="ours"
            )
            self.example = gr.Button(words("train.example"), size="sm", scale=0, elem_id="example")
        with gr.Row():
            self.parts["model"] = gr.Dropdown(
                choices=[],
                allow_custom_value=True,
                label=words("train.model"),
                info=words("train.model_help" if self.page.site.is_open else "train.model_listed"),
                elem_id="train-model",
            )
            self.parts["data"] = gr.Dropdown(
                choices=[],
                multiselect=True,
                allow_custom_value=True,
                label=words("train.data"),
                info=words("train.data_help"),
                elem_id="train-data",
            )
        with gr.Row():
            for key in ("name", "author"):
                self.parts[key] = gr.Textbox(
                    label=words(f"train.{key}"),
                    info=words(f"train.{key}_help"),
                    placeholder=EXAMPLE[key],
                    max_lines=1,
                    elem_id=f"identity-{key}",
                )
        self._add_methods()
        self._add_section(words("train.training"), training_fields(), is_open=True)
        for section in SECTIONS:
            if section:
                self._add_section(words(f"train.section_{section}"), section_fields(section))
        with gr.Accordion(words("train.further"), open=False):
            self._add_fields(section_fields(""))
            self.parts["further"] = gr.Textbox(
                label=words("train.settings"),
                info=words("train.settings_help"),
                placeholder="training.weight_decay=0.01",
                lines=3,
                elem_id="further",
            )

    def _add_methods(self) -> None:
        words = self.page.words
        first = next(iter(METHODS))
        self.parts["method"] = gr.Radio(
            choices=[*METHODS], value=first, label=words("train.method"), elem_id="method"
        )
        help_of = {name: words.method(name, kind.__doc__ or "") for name, kind in METHODS.items()}
        about = gr.HTML(f"<p class='note'>{help_of[first]}</p>", padding=False, elem_classes="ours")
        groups = []
        for name in METHODS:
            fields = method_fields(name)
            with gr.Accordion(
                words("train.of_method", method=name), open=False, visible=name == first
            ) as group:
                made = components(fields, words, prefix=f"{name}-")
            groups.append(group)
            self.methods[name] = {f"{name}:{field.key}": field for field in fields}
            self.parts |= {f"{name}:{key}": part for key, part in made.items()}

        def chosen(method: str) -> list[Any]:
            shown = [gr.Accordion(visible=name == method) for name in METHODS]
            return [f"<p class='note'>{help_of[method]}</p>", *shown]

        self.parts["method"].change(chosen, self.parts["method"], [about, *groups], **QUIET)

    def _add_section(self, title: str, fields: list[Field], *, is_open: bool = False) -> None:
        with gr.Accordion(title, open=is_open):
            self._add_fields(fields)

    def _add_fields(self, fields: list[Field]) -> None:
        self.fields |= {field.key: field for field in fields}
        self.parts |= components(fields, self.page.words)

    def refresh(
        self, model: str, data: list[str], run_name: str, request: gr.Request
    ) -> tuple[Any, Any, Any]:
        """What there is to choose, and a name that is free."""
        site, place = self.page.site, self.page.place(request)
        return (
            offered([*site.models], model, next(iter(site.models))),
            offered(site.data_choices(place), data),
            gr.skip() if run_name else free_name(place, "run"),
        )

    def filled_in(self) -> list[Any]:
        """The example's values."""
        return ["lora", *(EXAMPLE[key] for key in EXAMPLE)]

    def described(self, request: gr.Request, *values: Any) -> tuple[str, str, str]:
        """The run file and the command, as they would be; a sentence where they cannot be."""
        given, place = self._given(values), self.page.place(request)
        try:
            yaml = self._yaml(given, place)
            typed = command(*train_words(place, given["run_name"] or "run"))
            _judge(yaml)
        except UserError as error:
            return "", "", self.page.words.error(error)
        return yaml, typed, ""

    def planned(self, request: gr.Request, *values: Any) -> Iterator[str]:
        """Will it fit: asked of `tuneglm plan` once nobody types any more."""
        words, place = self.page.words, self.page.place(request)
        who = str(request.session_hash)
        given = self._given(values)
        try:
            tree = self._tree(given, place)
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
            yield words.error(error)

    def start(self, request: gr.Request, *values: Any) -> tuple[str, Any, Any]:
        """Begin the run."""
        given, place, site = self._given(values), self.page.place(request), self.page.site
        name = (given["run_name"] or "").strip()
        try:
            if not given["data"] and not given["name"]:
                raise ConfigError(
                    "There is nothing to learn.", "choose data, or say who the model is to be"
                )
            run = begin(place, name, self._yaml(given, place), site.at_once, site.at_work())
        except UserError as error:
            return self.page.words.error(error), gr.skip(), gr.skip()
        # a plan takes processors that the run wants
        self.page.plans.give_up(str(request.session_hash))
        said = self.page.words.good("train.started", name=run.name)
        names = [each.name for each in Watch.runs(place)]
        return said, gr.Dropdown(choices=names, value=run.name), free_name(place, "run")

    def _given(self, values: tuple[Any, ...]) -> dict[str, Any]:
        return dict(zip(self.keys, values, strict=True))

    def _yaml(self, given: Mapping[str, Any], place: Workplace) -> str:
        return as_yaml(self._tree(given, place))

    def _tree(self, given: Mapping[str, Any], place: Workplace) -> dict[str, Any]:
        """What differs from the defaults."""
        site, method = self.page.site, given["method"]
        tree: dict[str, Any] = {"model": {"path": site.model_path(given["model"])}, "data": {}}
        if given["data"]:
            tree["data"]["train"] = [site.entry(place, name) for name in given["data"]]
            tree["data"]["dir"] = str(site.data)
        if given["name"] or given["author"]:
            tree["data"]["identity"] = _identity(given["name"], given["author"])
        tree["method"] = {"name": method}
        name = given["run_name"].strip() or "run"
        tree["training"] = {"output_dir": str(place.run(name))}
        filled(self.fields, given, tree)
        of_method = self.methods[method]
        filled(
            {field.key: field for field in of_method.values()},
            {field.key: given[key] for key, field in of_method.items()},
            tree,
        )
        return further(given["further"] or "", tree, is_open=site.is_open)


def _judge(yaml: str) -> None:
    """Raise ConfigError for a run file that is none."""
    tree = read_yaml(yaml)
    load_config(None, [f"{key}={json.dumps(value)}" for key, value in tree.items()])


EXAMPLE_KEYS = tuple(f"lora:{key}" if key.startswith("method.") else key for key in EXAMPLE)


def _identity(name: str, author: str) -> dict[str, str]:
    if not name.strip() or not author.strip():
        raise ConfigError(
            "An identity is a name and an author.", "fill in both, or neither of them"
        )
    return {"name": name.strip(), "author": author.strip()}
