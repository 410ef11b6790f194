"""The house's rules, held by the code itself."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tuneglm.models import FAMILIES

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "tuneglm"

# a room may import what stands in a lower line, and its own
LEVELS = (
    (
        "cli",
        "api",
        "api_cli",
        "chat_cli",
        "command_line",
        "data_cli",
        "evaluate_cli",
        "export_cli",
        "web_cli",
        "__main__",
        "demo",
        "chat",
        "launch",
        "web",
        "original",
        "import_cli",
        "doctor",
        "doctor_cli",
    ),
    (
        "training",
        "base_answers",
        "base_model",
        "generate",
        "evaluation",
        "export",
        "frozen_states",
        "reports",
        "model_card",
        "checkpoints",
        "resuming",
        "interruption",
        "probing",
        "run_summary",
        "processes",
        "plan",
    ),
    ("writing",),
    ("stages",),
    ("methods",),
    ("models",),
    ("data",),
    (
        "allocation",
        "config",
        "config_errors",
        "data_config",
        "method_config",
        "section",
        "serve_config",
        "hub",
        "lock",
        "manifest",
        "option_list",
        "packages",
        "processors",
        "run_file",
        "yaml_faults",
        "trainer_options",
    ),
    ("errors",),
)
LEVEL_OF = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}
# what nobody chooses or sets
WITHOUT_PAGE = {"reports", "writing"}
# what builds the demo's checkpoint has to say of which family it is
# and what is of another tool names that tool
NAMES_ITS_FAMILY = {PACKAGE / "demo" / "build_model.py", PACKAGE / "original" / "house.py"}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def rooms_imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are written in full"
            names = [node.module or ""]
            if node.module == "tuneglm":
                names = [f"tuneglm.{alias.name}" for alias in node.names]
        yield from (name.split(".")[1] for name in names if name.startswith("tuneglm."))


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_only_to_the_right(path: Path) -> None:
    if path == PACKAGE / "__init__.py":
        return
    own = room_of(path)
    for room in rooms_imported(path):
        allowed = room == own or LEVEL_OF[room] > LEVEL_OF[own]
        same_level = own in LEVELS[LEVEL_OF[room]]
        assert allowed or same_level, f"{path} imports {room}"


def test_every_room_has_its_level() -> None:
    rooms = {room_of(path) for path in modules()} - {"__init__"}
    assert rooms == set(LEVEL_OF)


def test_no_family_is_named_outside_its_room() -> None:
    names = re.compile(rf"\b({'|'.join(name for name in FAMILIES if name != 'native')})", re.I)
    for path in modules():
        if path.is_relative_to(PACKAGE / "models") or path in NAMES_ITS_FAMILY:
            continue
        code = ast.parse(path.read_text(encoding="utf-8"))
        docstrings = {
            node.body[0].value.value
            for node in ast.walk(code)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and node.body
            and isinstance(node.body[0], ast.Expr)
            and isinstance(node.body[0].value, ast.Constant)
        }
        for node in ast.walk(code):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found = names.search(node.value)
                assert node.value in docstrings or found is None, f"{path}: {node.value!r}"


@pytest.mark.parametrize("language", ["en", "zh"])
def test_each_room_has_its_page(language: str) -> None:
    rooms = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()}
    pages = {path.stem for path in (ROOT / "docs" / language).glob("*.md")}
    assert rooms - pages == WITHOUT_PAGE


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_file_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


def test_the_readmes_name_the_same_commands() -> None:
    """Both languages show the same shell commands, in the same order."""

    def commands(name: str) -> list[str]:
        text = (ROOT / name).read_text(encoding="utf-8")
        lines = "\n".join(re.findall(r"```(?:bash|sh)\n(.*?)```", text, re.S)).splitlines()
        return [line.split("#")[0].strip() for line in lines if line.strip()]

    assert commands("README.md") == commands("README_zh.md") != []


def test_every_error_is_in_the_tree() -> None:
    """A person's errors are defined, and drawn, in one place."""
    from tuneglm import errors

    drawn = set(re.findall(r"── (\w+)", errors.__doc__ or ""))
    defined = {kind.__name__ for kind in errors.UserError.__subclasses__()}
    assert drawn == defined
    for path in modules():
        assert path.name == "errors.py" or "(UserError)" not in path.read_text(encoding="utf-8")


def test_what_is_imported_is_declared() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    declared = {name.lower().replace("-", "_") for name in re.findall(r'"([\w-]+)>=', text)}
    # pyyaml's, lm-eval's, fastapi's and, for GPUs, torch's own
    declared |= {"yaml", "datasets", "starlette", "triton", "tuneglm", *sys.stdlib_module_names}
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                assert name.partition(".")[0] in declared, f"{path} imports {name}"
