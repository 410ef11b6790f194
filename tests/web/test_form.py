"""The form is the config's classes, and what it makes is a run file."""

import re
from typing import Any

import pytest
import yaml

from tuneglm.config import ChatConfig, load_config, options
from tuneglm.data.problems import PROBLEMS
from tuneglm.errors import ConfigError
from tuneglm.trainer_options import trainer_options
from tuneglm.web import fields
from tuneglm.web.fields import Field
from tuneglm.web.form import as_yaml, filled, further
from tuneglm.web.words import Words, _texts

ALL: list[Field] = [
    *(field for section in fields.SECTIONS for field in fields.section_fields(section)),
    *(field for method in fields.METHODS for field in fields.method_fields(method)),
    *fields.training_fields(),
]


def test_every_option_is_in_the_form_or_said_to_be_elsewhere() -> None:
    named = {option.name for option in options()}
    inner = {name for name in named if name.startswith(("data.train[]", "data.identity."))}
    shown = {field.key for field in ALL if not field.key.startswith("training.")}
    assert shown | set(fields.ELSEWHERE) == named - inner
    assert not shown & set(fields.ELSEWHERE)
    assert set(fields.TRAINING) <= set(trainer_options())


def test_what_is_left_as_it_is_is_not_written() -> None:
    for field in ALL:
        assert filled({field.key: field}, {field.key: field.shown}, {}) == {}, field


def test_each_choice_is_one_that_the_config_takes() -> None:
    for field in ALL:
        for choice in field.choices:
            written = "" if choice is None else str(choice)
            tree = filled({field.key: field}, {field.key: written}, {"model": {"path": "x"}})
            if field.key.startswith("method."):
                tree.setdefault("method", {})["name"] = field.method
            load(tree)


def load(tree: dict[str, Any]) -> Any:
    return load_config(None, [f"{key}={yaml.safe_dump(value)}" for key, value in tree.items()])


@pytest.mark.parametrize(
    ("key", "given", "value"),
    [
        ("method.rank", "16", 16),
        ("method.alpha", "32", 32),
        ("method.targets", "q_proj, v_proj", ["q_proj", "v_proj"]),
        ("method.tokens", "1, 2", [1, 2]),
        ("method.rank_pattern", "{down_proj: 32}", {"down_proj": 32}),
        ("method.rslora", True, True),
        ("model.bits", "4", 4),
        ("model.bits", "auto", "auto"),
        ("data.cutoff", " 512 ", 512),
        ("training.learning_rate", "1e-4", 1e-4),
        ("patience", "3", 3),
        ("average", "0.5", 0.5),
    ],
)
def test_what_is_filled_in_has_the_type_of_its_option(key: str, given: Any, value: Any) -> None:
    field = next(field for field in ALL if field.key == key)
    tree = filled({key: field}, {key: given}, {})
    for part in key.split("."):
        tree = tree[part]
    assert tree == value
    assert type(tree) is type(value)


def test_a_wrong_value_is_the_sentence_of_the_config() -> None:
    field = next(field for field in ALL if field.key == "method.rank")
    tree = filled({field.key: field}, {field.key: "many"}, {"model": {"path": "x"}})
    with pytest.raises(ConfigError, match=r"`method\.rank` cannot be `many`"):
        load(tree)


def test_the_run_file_is_read_again() -> None:
    tree = {"model": {"path": "星河"}, "method": {"name": "lora", "rank": 4}}
    assert yaml.safe_load(as_yaml(tree)) == tree


def test_further_settings_are_put_beside_the_form() -> None:
    tree = further("training.weight_decay=0.1\n\n probe.stop = false", {}, is_open=True)
    assert tree["training"] == {"weight_decay": 0.1}


@pytest.mark.parametrize("line", ["training.weight_decay", "=1", "training.seed=[1"])
def test_a_line_that_is_no_setting_is_said(line: str) -> None:
    with pytest.raises(ConfigError):
        further(line, {}, is_open=True)


PATHS = [
    "model.path=/etc",
    "model.adapters=/etc",
    "data.train=/etc/passwd",
    "data.evaluation=/etc/passwd",
    "data.registry=/etc/passwd",
    "data.dir=/etc",
    "data.cache=/etc",
    "probe.files=/etc/passwd",
    "resume=/etc",
    "training.output_dir=/etc",
    "training.logging_dir=/etc",
    "training.deepspeed=/etc/passwd",
    "training.fsdp_config=/etc/passwd",
    "training.resume_from_checkpoint=/etc",
    "training.report_to=wandb",
    "training.push_to_hub=true",
    "training.hub_token=x",
    "training.run_name=x",
    "training={output_dir: /etc}",
    "data={train: /etc/passwd}",
    "model={path: /etc}",
    "probe={files: [/etc/passwd]}",
    "method={name: full}",
]


@pytest.mark.parametrize("line", PATHS)
def test_who_does_not_own_the_machine_sets_no_path(line: str) -> None:
    with pytest.raises(ConfigError):
        further(line, {}, is_open=False)


@pytest.mark.parametrize("line", ["training.weight_decay=0.1", "method.rank=4", "data.cutoff=64"])
def test_and_sets_what_is_harmless(line: str) -> None:
    assert further(line, {}, is_open=False)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_field_has_its_name_and_its_help(language: str) -> None:
    words = Words(language)
    chat = [*fields.fields_of("chat", ChatConfig)]
    for field in [*ALL, *chat]:
        assert words.label(field)
        assert words.help(field)
    for name, kind in fields.METHODS.items():
        assert words.method(name, kind.__doc__ or "")


def test_every_field_has_its_help_in_chinese() -> None:
    """Also where several methods have an option of one name."""
    for field in [*ALL, *fields.fields_of("chat", ChatConfig)]:
        assert re.search("[一-鿿]", Words("zh").label(field) + Words("zh").help(field)), field.key
        assert not field.text or Words("zh").help(field) != field.text, field


@pytest.mark.parametrize("key", ["method.length", "method.of_its_own"])
def test_an_option_that_somebody_added_is_shown_with_its_docstring(key: str) -> None:
    """Of a method that is not among ours, by a name that others have or a new one."""
    field = fields.Field(key, "integer", 4, text="How many there are.", method="norms")
    for language in ("zh", "en"):
        assert Words(language).help(field) == "How many there are."
        assert Words(language).label(field)
        assert Words(language).method("norms", "The norms\n alone.") == "The norms alone."


def test_both_languages_say_everything() -> None:
    for key, texts in _texts("words").items():
        assert set(texts) == {"zh", "en"}, key
        assert all(texts.values()), key
    assert set(_texts("problems")) == set(PROBLEMS)
    shown = {field.key for field in ALL} | {f"method={name}" for name in fields.METHODS}
    shown |= {field.key for field in fields.fields_of("chat", ChatConfig)}
    # the page of reference has those that are elsewhere, too
    assert set(_texts("options")) == shown | {option.name for option in options()}
