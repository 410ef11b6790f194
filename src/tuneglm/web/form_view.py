"""The form's fields as components."""

from collections.abc import Sequence
from typing import Any

import gradio as gr

from tuneglm.web.fields import Field
from tuneglm.web.words import Words


def component(field: Field, words: Words, prefix: str = "") -> Any:
    """The component for a field, with its label and its help."""
    options: dict[str, Any] = {
        "label": words.label(field),
        "info": words.help(field) or None,
        "elem_id": prefix + field.key.replace(".", "-"),
    }
    if field.kind == "switch":
        return gr.Checkbox(value=field.shown, **options)
    if field.kind == "choice":
        choices = [_choice(choice, words) for choice in field.choices]
        return gr.Dropdown(choices=choices, value=field.shown, **options)
    is_number = field.kind in ("integer", "number")
    empty = words("form.chosen" if is_number else "form.empty")
    return gr.Textbox(value=field.shown, placeholder=empty, max_lines=1, **options)


def components(fields: Sequence[Field], words: Words, prefix: str = "") -> dict[str, Any]:
    """Key → component, in rows that break where the screen is narrow.

    prefix  of their names in the page, where a key stands in several forms
    """
    made: dict[str, Any] = {}
    with gr.Row(elem_classes="fields"):
        for field in fields:
            with gr.Column(min_width=240):
                made[field.key] = component(field, words, prefix)
    return made


def _choice(choice: Any, words: Words) -> tuple[str, str]:
    if choice is None:
        return words("form.left_out"), ""
    return str(choice), str(choice)
