"""The fields of the form of a run, drawn from the classes of the config: what there is to fill in.

    config's classes → Field(key, kind, choices, default, help) → components (form_view.py)

Nothing here knows of a browser, and nothing of what an option does.
"""

import types
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from pydantic.fields import FieldInfo

from tuneglm.config import ModelConfig, ProbeConfig, RunConfig, SftConfig
from tuneglm.data_config import DataConfig
from tuneglm.errors import ConfigError
from tuneglm.method_config import METHOD_SECTIONS
from tuneglm.run_file import read_yaml
from tuneglm.section import Section
from tuneglm.yaml_faults import one_line

Kind = Literal["switch", "choice", "integer", "number", "list", "text"]

# options that are no fields of the form: what says them instead, or why nobody does
ELSEWHERE: dict[str, str] = {
    "model.path": "the list of models",
    "model.adapters": "a further setting",
    "model.continue_last": "a further setting",
    "data.train": "the list of data",
    "data.identity": "name and author",
    "data.evaluation": "a further setting",
    "data.dir": "the command that starts the page",
    "data.registry": "a further setting",
    "data.cache": "a further setting",
    "method.name": "the choice of the method",
    "stage.name": "there is one",
    "probe.files": "a further setting",
    "probe.systems": "a further setting",
    "resume": "the button that goes on with a run",
    "training": "the fields below, and further settings",
}
# of transformers' hundred options those that people change; empty ones are chosen by tuneglm
TRAINING: dict[str, Kind] = {
    "learning_rate": "number",
    "num_train_epochs": "number",
    "max_steps": "integer",
    "per_device_train_batch_size": "integer",
    "gradient_accumulation_steps": "integer",
    "gradient_checkpointing": "switch",
    "warmup_steps": "number",
    "logging_steps": "number",
    "eval_steps": "number",
    "save_steps": "number",
    "seed": "integer",
}
SECTIONS: dict[str, type[Section]] = {
    "data": DataConfig,
    "model": ModelConfig,
    "stage": SftConfig,
    "probe": ProbeConfig,
    "": RunConfig,
}
METHODS: dict[str, type[Section]] = {
    kind.model_fields["name"].default: kind for kind in METHOD_SECTIONS
}


@dataclass(frozen=True)
class Field:
    """One thing to fill in.

    key       as a run file has it, `method.rank`
    default   what it is when nothing is filled in; None: decided later
    choices   of a choice, all of them; with None where it may be left out
    text      its docstring
    method    the one whose option it is, of those that a method has
    """

    key: str
    kind: Kind
    default: Any
    choices: tuple[Any, ...] = ()
    text: str = ""
    method: str = ""

    @property
    def shown(self) -> Any:
        """The default as the form shows it."""
        if self.kind == "list":
            return ", ".join(map(str, self.default))
        return self.default if self.kind == "switch" else _written(self.default)

    def value(self, given: Any) -> Any:
        """What was filled in, as the config wants it; None for nothing."""
        if given is None or (isinstance(given, str) and not given.strip()):
            return None
        if self.kind == "choice":
            return next((one for one in self.choices if _written(one) == given), given)
        if self.kind == "list":
            return [read_value(self.key, part) for part in str(given).split(",") if part.strip()]
        return given if self.kind == "switch" else read_value(self.key, str(given))


def section_fields(section: str) -> list[Field]:
    """The fields of `data`, `model`, `stage`, `probe` or the run itself (``)."""
    return [*fields_of(section, SECTIONS[section])]


def method_fields(name: str) -> list[Field]:
    """Those of a method."""
    return [replace(field, method=name) for field in fields_of("method", METHODS[name])]


def training_fields() -> list[Field]:
    """Those of `training:`, which are transformers' own."""
    return [Field(f"training.{name}", kind, _empty(kind)) for name, kind in TRAINING.items()]


def fields_of(section: str, kind: type[Section]) -> Iterator[Field]:
    """The fields of a class of the config, under a section's name."""
    for name, info in kind.model_fields.items():
        key = f"{section}.{name}" if section else name
        if key not in ELSEWHERE and (section or name not in SECTIONS) and key != "method":
            yield _field(key, info)


def _field(key: str, info: FieldInfo) -> Field:
    default = info.get_default(call_default_factory=True)
    text = " ".join((info.description or "").split())
    kinds = [_plain(each) for each in _alternatives(info.annotation)]
    literals = [each for each in kinds if get_origin(each) is Literal]
    if literals and len(literals) == len([each for each in kinds if each is not type(None)]):
        choices = tuple(choice for each in literals for choice in get_args(each))
        left_out = (None,) if type(None) in kinds else ()
        return Field(key, "choice", default, (*left_out, *choices), text)
    only = [each for each in kinds if each is not type(None)]
    simple: dict[Any, Kind] = {bool: "switch", int: "integer", float: "number"}
    if len(only) == 1 and only[0] in simple:
        return Field(key, simple[only[0]], default, (), text)
    if get_origin(only[0]) is tuple:
        return Field(key, "list", default, (), text)
    return Field(key, "text", default, (), text)


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    annotation = _plain(annotation)
    if get_origin(annotation) in (Union, types.UnionType):
        return get_args(annotation)
    return (annotation,)


def _plain(annotation: Any) -> Any:
    """Without the bounds that stand beside a type."""
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _written(value: Any) -> str:
    if value is None or value == {} or value == "":
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _empty(kind: Kind) -> Any:
    return False if kind == "switch" else None


def read_value(key: str, text: str) -> Any:
    """What a text means, as YAML has it; raises ConfigError."""
    try:
        return read_yaml(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"The value of `{key}` is not readable: {one_line(error)}.") from None
