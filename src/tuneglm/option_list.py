"""Option: one option as help, the reference and the page show it; drawn from the sections."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from pydantic.fields import FieldInfo

from tuneglm.method_config import METHOD_SECTIONS, LoraConfig
from tuneglm.section import Section


@dataclass(frozen=True)
class Option:
    """One option as help and reference show it: `data.cutoff`, its default, its docstring."""

    name: str
    default: str
    required: bool
    text: str
    # of an option that only one method has, or has in this sense: that method
    method: str = ""


def run_options(sections: Mapping[str, type[Section]]) -> Iterator[Option]:
    """Every option of a run, in the order of its sections; `""` is the run itself."""
    for section, kind in sections.items():
        if section == "method":
            yield from _method_options()
            continue
        for name, field in kind.model_fields.items():
            if section or name not in sections:
                yield _option(f"{section}.{name}" if section else name, field)


def flag_options(kind: type[Section]) -> Iterator[Option]:
    """Every option of a section as flags of the command line."""
    for name, field in kind.model_fields.items():
        yield _option(f"--{name.replace('_', '-')}", field)


def _method_options() -> Iterator[Option]:
    """The name once, with when to choose which; then each method's own options."""
    choices = " ".join(
        f"`{kind.model_fields['name'].default}`: {_one_line(kind.__doc__)}"
        for kind in METHOD_SECTIONS
    )
    name = _option("method.name", LoraConfig.model_fields["name"])
    yield replace(name, text=f"{name.text} {choices}")
    for kind in METHOD_SECTIONS:
        for key, field in kind.model_fields.items():
            if key != "name":
                option = _option(f"method.{key}", field)
                method = kind.model_fields["name"].default
                yield replace(option, text=f"{method}: {option.text}", method=method)


def _option(name: str, field: FieldInfo) -> Option:
    default = field.get_default(call_default_factory=True)
    written = list(default) if isinstance(default, tuple) else default
    return Option(
        name=name,
        default="none" if default in (None, "") else str(written),
        required=field.is_required(),
        text=_one_line(field.description),
    )


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split())
