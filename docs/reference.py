"""Write docs/{en,zh}/reference.md from config.py, the command line and docstrings: `make docs`.

In Chinese an option of a run or of an answer says what the web page's form says of it, and the
command line what `reference_zh.yaml` has for each of its sentences; docstrings stay English.
"""

import argparse
import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import yaml

import tuneglm
from tuneglm.cli import command_parser
from tuneglm.config import Option, chat_options, options, serve_options
from tuneglm.web.fields import METHODS, Field
from tuneglm.web.words import Words

FOLDER = Path(__file__).parent
LANGUAGES = ("en", "zh")
SOURCES = Path(tuneglm.__file__).parent
SENTENCES = FOLDER / "reference_zh.yaml"
HEAD = {
    "en": """# Reference

Written by `make docs` from `src/tuneglm/config.py`, the command line and the docstrings.

## Options of a run

Each can stand in a run file (`section:` and the keys below it) or on the command line
(`section.key=value`).

| option | default | |
|---|---|---|
""",
    "zh": """# 参考

由 `make docs` 从 `src/tuneglm/config.py`、命令行和 docstring 生成。

## 训练的选项

都可以写在运行文件里（`section:` 及其下的各个键），也可以写在命令行上（`section.key=value`）。

| 选项 | 默认值 | |
|---|---|---|
""",
}
CHAT = {
    "en": """
## Options of an answer

For `tuneglm chat`; the fields of `tuneglm.ChatConfig` have the same names.

| option | default | |
|---|---|---|
""",
    "zh": """
## 回答的选项

用于 `tuneglm chat`；`tuneglm.ChatConfig` 的各个字段与它们同名。

| 选项 | 默认值 | |
|---|---|---|
""",
}
SERVE = {
    "en": """
## Options of tuneglm serve

| option | default | |
|---|---|---|
""",
    "zh": """
## tuneglm serve 的选项

| 选项 | 默认值 | |
|---|---|---|
""",
}
COMMANDS = {
    "en": """
## Commands

`tuneglm COMMAND --help` says the same. `RUN.yaml` is a run file, `SECTION.KEY=VALUE` an option
of a run.
""",
    "zh": """
## 命令

`tuneglm COMMAND --help` 给出同样的内容（英文）。`RUN.yaml` 是运行文件，
`SECTION.KEY=VALUE` 是训练的一个选项。
""",
}
PYTHON = {
    "en": """
## From Python

What `import tuneglm` offers. `ChatConfig` has the options of an answer as its fields, `RunConfig`
those of a run.
""",
    "zh": """
## 在 Python 中

`import tuneglm` 提供的内容。`ChatConfig` 的字段是回答的选项，`RunConfig` 的字段是训练的选项。
说明取自代码中的 docstring，只有英文。
""",
}
# options that have a table of their own
TOLD_ABOVE = {
    "chat": {option.name for option in chat_options()},
    "serve": {option.name for option in serve_options()},
}
WHY_NOT = "<!-- not run: a docstring -->"


def page(language: str) -> str:
    """The reference as Markdown."""
    return "".join(
        [
            HEAD[language] + _rows(options(), language),
            CHAT[language] + _rows(chat_options(), language),
            SERVE[language] + _rows(serve_options(), language),
            COMMANDS[language],
            *_commands(language),
            PYTHON[language],
            *_names(),
        ]
    )


def _rows(shown: Iterable[Option], language: str) -> str:
    rows = []
    for option in shown:
        default = "" if option.required else f"`{option.default}`"
        text = option.text if language == "en" else _option_in_chinese(option)
        rows.append(f"| `{option.name}` | {default} | {text} |")
    return "\n".join(rows).replace("||", "| |") + "\n"


def _option_in_chinese(option: Option) -> str:
    """What an option does, in the words of the page's form."""
    if option.name in TOLD_ABOVE["serve"]:
        return in_chinese(option.text)
    words = Words("zh")
    is_of_chat = option.name in TOLD_ABOVE["chat"]
    key = f"chat.{option.name[2:].replace('-', '_')}" if is_of_chat else option.name
    own = option.text.removeprefix(f"{option.method}: ")
    text = words.help(Field(key, "text", None, text=own, method=option.method))
    if key == "method.name":
        return text + "".join(f"`{name}`：{words.method(name, '')}" for name in METHODS)
    return f"{option.method}：{text}" if option.method else text


def in_chinese(sentence: str) -> str:
    """A sentence of the command line; raises LookupError where nobody translated it."""
    known = sentences()
    if sentence in known:
        return known[sentence]
    # an option of an answer, with the default that it has for this command
    for option in chat_options():
        if sentence.startswith(f"{option.text} ("):
            default = sentence.removeprefix(f"{option.text} (").removesuffix(")")
            return f"{_option_in_chinese(option)}（{default}）"
    raise LookupError(f"{SENTENCES.name} has no Chinese for: {sentence}")


@cache
def sentences() -> dict[str, str]:
    """A sentence of the command line → the same in Chinese."""
    read: dict[str, str] = yaml.safe_load(SENTENCES.read_text(encoding="utf-8"))
    return read


def _commands(language: str) -> Iterator[str]:
    """Each command, those under a command behind it."""
    waiting = list(_inner(command_parser()))
    while waiting:
        name, parser = waiting.pop(0)
        inner = [(f"{name} {word}", each) for word, each in _inner(parser)]
        waiting = inner + waiting
        text = parser.description or ""
        yield f"\n### `tuneglm {name}`\n\n{text if language == 'en' else in_chinese(text)}\n"
        lines = [] if inner else [*_arguments(name, parser, language)]
        if lines:
            yield "\n| | |\n|---|---|\n" + "\n".join(lines) + "\n"


def _inner(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.items()


def _arguments(name: str, parser: argparse.ArgumentParser, language: str) -> Iterator[str]:
    for action in parser._actions:
        is_told = set(action.option_strings) & TOLD_ABOVE.get(name, set())
        if is_told or action.help is None or isinstance(action, argparse._HelpAction):
            continue
        text = " ".join((action.help % {**vars(action), "prog": parser.prog}).split())
        typed = _typed(action).replace(" | ", " or " if language == "en" else " 或 ")
        yield f"| `{typed}` | {text if language == 'en' else in_chinese(text)} |"


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
    for each in LANGUAGES:
        place = FOLDER / each / "reference.md"
        place.write_text(page(each), encoding="utf-8")
