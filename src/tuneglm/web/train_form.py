"""The form of a run: its components, and the run file that is made of what was filled in."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from tuneglm.config import load_config
from tuneglm.errors import ConfigError
from tuneglm.run_file import read_yaml
from tuneglm.web.fields import (
    METHODS,
    SECTIONS,
    Field,
    method_fields,
    section_fields,
    training_fields,
)
from tuneglm.web.files import Workplace
from tuneglm.web.form import as_yaml, filled, further
from tuneglm.web.form_view import components
from tuneglm.web.record import QUIET, Page

# settings with which the model that comes with tuneglm learns a name in about two minutes
EXAMPLE = {
    "name": "星河",
    "author": "北斗实验室",
    "method.targets": "all",
    "training.learning_rate": "0.003",
    "training.max_steps": "120",
    "training.per_device_train_batch_size": "16",
}
EXAMPLE_KEYS = tuple(f"lora:{key}" if key.startswith("method.") else key for key in EXAMPLE)
TOP = ("model", "data", "name", "author", "method", "run_name", "further")


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
        with gr.Row():
            gr.HTML(
                f"<p class='lead'>{words('train.lead')}</p>", padding=False, elem_classes="ours"
            )
            self.example = gr.Button(words("train.example"), size="sm", scale=0, elem_id="example")
        with gr.Row():
            self.parts["model"] = gr.Dropdown(
                choices=[*self.page.site.models],
                value=next(iter(self.page.site.models)),
                allow_custom_value=True,
                label=words("train.model"),
                info=words("train.model_help" if self.page.site.is_open else "train.model_listed"),
                elem_id="train-model",
                min_width=220,
            )
            self.parts["data"] = gr.Dropdown(
                choices=[],
                multiselect=True,
                allow_custom_value=True,
                label=words("train.data"),
                info=words("train.data_help"),
                elem_id="train-data",
                min_width=220,
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

    def given(self, values: tuple[Any, ...]) -> dict[str, Any]:
        """What was filled in, by key; of what is not there yet a browser sends nothing."""
        filled_in = zip(self.keys, values, strict=True)
        return {key: "" if value is None else value for key, value in filled_in}

    def yaml(self, given: Mapping[str, Any], place: Workplace) -> str:
        """The run file."""
        return as_yaml(self.tree(given, place))

    def tree(self, given: Mapping[str, Any], place: Workplace) -> dict[str, Any]:
        """What differs from the defaults; raises UserError for what cannot be."""
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


def judge(yaml: str) -> None:
    """Raise ConfigError for a run file that is none."""
    tree = read_yaml(yaml)
    load_config(None, [f"{key}={json.dumps(value)}" for key, value in tree.items()])


def _identity(name: str, author: str) -> dict[str, str]:
    if not name.strip() or not author.strip():
        raise ConfigError(
            "An identity is a name and an author.", "fill in both, or neither of them"
        )
    return {"name": name.strip(), "author": author.strip()}
