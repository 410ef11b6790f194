"""Write docs/reference.md from config.py, the command line and docstrings: `make docs`."""

import argparse
import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

import tuneglm
from tuneglm.cli import command_parser
from tuneglm.config import Option, chat_options, options, serve_options

PAGE = Path(__file__).with_name("reference.md")
SOURCES = Path(tuneglm.__file__).parent
HEAD = """# Reference

Written by `make docs` from `src/tuneglm/config.py`, the command line and the docstrings.

## Options of a run

Each can stand in a run file (`section:` and the keys below it) or on the command line
(`section.key=value`).

| option | default | |
|---|---|---|
"""


CHAT = """
## Options of an answer

For `tuneglm chat`; the fields of `tuneglm.ChatConfig` have the same names.

| option | default | |
|---|---|---|
"""

SERVE = """
## Options of tuneglm serve

| option | default | |
|---|---|---|
"""

COMMANDS = """
## Commands

`tuneglm COMMAND --help` says the same. `RUN.yaml` is a run file, `SECTION.KEY=VALUE` an option
of a run.
"""

PYTHON = """
## From Python

What `import tuneglm` offers. `ChatConfig` has the options of an answer as its fields, `RunConfig`
those of a run.
"""
# options that have a table of their own
TOLD_ABOVE = {
    "chat": {option.name for option in chat_options()},
    "serve": {option.name for option in serve_options()},
}
WHY_NOT = "<!-- not run: a docstring -->"


def page() -> str:
    """The reference as Markdown."""
    tables = HEAD + _rows(options()) + CHAT + _rows(chat_options()) + SERVE + _rows(serve_options())
    return tables + COMMANDS + "".join(_commands()) + PYTHON + "".join(_names())


def _rows(shown: Iterable[Option]) -> str:
    rows = [
        f"| `{option.name}` | {'' if option.required else f'`{option.default}`'} | {option.text} |"
        for option in shown
    ]
    return "\n".join(rows).replace("||", "| |") + "\n"


def _commands() -> Iterator[str]:
    """Each command, those under a command behind it."""
    waiting = list(_inner(command_parser()))
    while waiting:
        name, parser = waiting.pop(0)
        inner = [(f"{name} {word}", each) for word, each in _inner(parser)]
        waiting = inner + waiting
        yield f"\n### `tuneglm {name}`\n\n{parser.description}\n"
        lines = [] if inner else [*_arguments(name, parser)]
        if lines:
            yield "\n| | |\n|---|---|\n" + "\n".join(lines) + "\n"


def _inner(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.items()


def _arguments(name: str, parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        is_told = set(action.option_strings) & TOLD_ABOVE.get(name, set())
        if is_told or action.help is None or isinstance(action, argparse._HelpAction):
            continue
        text = action.help % {**vars(action), "prog": parser.prog}
        typed = _typed(action).replace(" | ", " or ")
        yield f"| `{typed}` | {' '.join(text.split())} |"


def _typed(action: argparse.Action) -> str:
    """What is typed for it: the option, and what it takes."""
    value = action.metavar
    if action.choices is not None:
        value = " / ".join(map(str, action.choices))
    if value is None:
        value = action.dest.upper()
    if not action.option_strings:
        return str(value)
    takes = "" if action.nargs == 0 else f" {value}"
    return ", ".join(action.option_strings) + takes


def _names() -> Iterator[str]:
    """Each public name with what its docstring says, a class with its methods."""
    for name in tuneglm.__all__:
        node = _node(tuneglm._MODULES[name], name)
        yield f"\n### `{name}`\n"
        if isinstance(node, ast.FunctionDef):
            yield _described(node, name)
            continue
        yield _docstring(node)
        for method in node.body:
            is_shown = isinstance(method, ast.FunctionDef) and (
                method.name == "__init__" or not method.name.startswith("_")
            )
            if isinstance(method, ast.FunctionDef) and is_shown and ast.get_docstring(method):
                yield _described(method, f"{name}.{method.name}".removesuffix(".__init__"))


def _node(module: str, name: str) -> ast.FunctionDef | ast.ClassDef:
    path = SOURCES.parent.joinpath(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    code = ast.parse(path.read_text(encoding="utf-8"))
    (found,) = (
        node
        for node in code.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name
    )
    return found


def _described(node: ast.FunctionDef, name: str) -> str:
    given = ast.unparse(node.args).removeprefix("self").removeprefix("cls").removeprefix(", ")
    is_property = any(ast.unparse(each) == "property" for each in node.decorator_list)
    taken = "" if is_property else f"({given})"
    returned = "None" if node.returns is None else ast.unparse(node.returns)
    arrow = "" if returned == "None" else f" → {returned}"
    return f"\n`{name}{taken}{arrow}`\n" + _docstring(node)


def _docstring(node: ast.FunctionDef | ast.ClassDef) -> str:
    text = ast.get_docstring(node) or ""
    return f"\n{WHY_NOT}\n```text\n{text}\n```\n" if "\n" in text else f"\n{text}\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
