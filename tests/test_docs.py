"""Pages that are drawn from the code, links between pages, snippets of the pages on data."""

import ast
import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.snippets import download_sets, run_page, train, write_stand_ins
from tuneglm.config import options
from tuneglm.data.problems import PROBLEMS
from tuneglm.data.recognise import recognise
from tuneglm.data.registry import registered_sets
from tuneglm.errors import HubError
from tuneglm.trainer_options import trainer_options

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "README_zh.md", *sorted((ROOT / "docs").rglob("*.md"))]
# whose snippets are run
DATA_PAGES = ("data", "named-sets", "mixing", "batches", "identity")
LANGUAGES = ("en", "zh")
# what is written like an option and is a file
FILES_LIKE_OPTIONS = {"data.md", "training.py"}


def page_of(language: str, name: str) -> Path:
    return ROOT / "docs" / language / f"{name}.md"


def script(name: str) -> Any:
    """A module of the folder of pages."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_reference_is_what_the_code_says(language: str) -> None:
    written = page_of(language, "reference").read_text(encoding="utf-8")
    assert written == script("reference").page(language), "run `make docs`"


def test_every_option_and_command_has_its_chinese_sentence() -> None:
    text = page_of("zh", "reference").read_text(encoding="utf-8").partition("## 在 Python 中")[0]
    said = re.findall(r"^\| `.*\| ([^|]*) \|$|^### `.*`\n\n(.*)$", text, re.M)
    assert len(said) > len([*options()])
    for cell, sentence in said:
        assert re.search("[\u4e00-\u9fff]", cell or sentence), cell or sentence


def test_a_sentence_of_the_command_line_without_its_chinese_is_named() -> None:
    reference = script("reference")
    with pytest.raises(LookupError, match="nobody translated this"):
        reference.in_chinese("nobody translated this")
    english = reference.page("en")
    there = [f"| {each} |" in english or f"\n{each}\n" in english for each in reference.sentences()]
    assert all(there), [*reference.sentences()][there.index(False)]


def test_the_tables_of_speed_are_what_was_measured() -> None:
    for name, text in script("speed").pages().items():
        assert (ROOT / name).read_text(encoding="utf-8") == text, f"{name}: run `make docs`"


def test_the_figures_are_of_the_form_that_the_benchmark_writes() -> None:
    figures = json.loads(script("speed").FIGURES.read_text(encoding="utf-8"))
    keys = {"work", "against", "ours", "theirs", "value", "goal", "is_least", "met"}
    assert all(row.keys() == keys for row in figures["table"])
    for row in figures["table"]:
        if row["value"] is None:
            assert row["met"] is None
            continue
        is_met = row["value"] >= row["goal"] if row["is_least"] else row["value"] <= row["goal"]
        assert row["met"] == is_met or abs(row["value"] - row["goal"]) < 0.01, row["work"]


def test_what_was_not_measured_is_said() -> None:
    speed = script("speed")
    figures = json.loads(speed.FIGURES.read_text(encoding="utf-8"))
    figures["table"] = [
        {**row, "value": None, "met": None} if row["work"] == "LoRA, C, speed" else row
        for row in figures["table"]
    ]
    for language, words in speed.UNMEASURED.items():
        assert speed.table(language, figures).count(f"| {words} |") == 1
        assert speed.SHORT["LoRA, C"][language] not in speed.short_table(language, figures)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", prose_of(page)):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_places_on_pages_are_there(page: Path) -> None:
    for target, place in re.findall(r"\]\(([^)#\s]*)#([^)\s]+)\)", prose_of(page)):
        if not target.startswith("http"):
            lead = page.parent / target if target else page
            assert place in anchors(lead), f"{target}#{place}"


def prose_of(page: Path) -> str:
    """A page without its blocks."""
    text = page.read_text(encoding="utf-8")
    return re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """The places of a page as GitHub and the site name them, after its headings."""
    heads = re.findall(r"^#+ (.+)$", prose_of(page), re.M)
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("name", DATA_PAGES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_snippets_run(
    language: str,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """From top to bottom, without a network; training stops where the model would be loaded."""
    monkeypatch.setattr("tuneglm.training.train", train)
    monkeypatch.setattr("tuneglm.data.listing.download_sets", download_sets)
    monkeypatch.setattr("tuneglm.data.download.fetch", no_network)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    write_stand_ins(tmp_path / "data")
    run_page(page_of(language, name), capsys)


def no_network(*_: object, **__: object) -> None:
    raise HubError("It does not answer.")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_options_that_a_page_names_are_there(page: Path) -> None:
    known = {option.name for option in options()} | {f"training.{key}" for key in trainer_options()}
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"(?<![.\w])(?:model|data|training)\.[a-z_]+\b(?![./(])", text):
        assert name in known or name in FILES_LIKE_OPTIONS, name


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_option_is_on_a_page(language: str) -> None:
    """Beside the reference, which is drawn: some page says what it is good for."""
    pages = set((ROOT / "docs" / language).glob("*.md")) - {page_of(language, "reference")}
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    names = dict.fromkeys(option.name for option in options())
    assert [name for name in names if not re.search(naming(name), text)] == []


def naming(option: str) -> str:
    """How a page names an option; those of an entry stand without their section, too."""
    inner = re.fullmatch(r"data\.(?:train\[\]|identity)\.(\w+)", option)
    if inner is None:
        return rf"(?<![\w.]){re.escape(option)}(?!\w)"
    return rf"`{inner[1]}`|\b{inner[1]}:|{re.escape(option)}(?!\w)"


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_rows_that_the_page_shows_have_the_format_that_it_says(language: str) -> None:
    text = page_of(language, "data").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)`[^|]*\| `(\{.*\})` \|$", text, re.M)
    assert len(rows) == 9
    for name, row in rows:
        assert recognise([json.loads(row)]).format == name


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_problem_and_every_named_set_is_on_its_page(language: str) -> None:
    problems = page_of(language, "data").read_text(encoding="utf-8")
    assert [word for word in PROBLEMS if f"`{word}`" not in problems] == []
    sets = page_of(language, "named-sets").read_text(encoding="utf-8")
    assert [name for name in registered_sets() if f"`{name}`" not in sets] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_is_on_the_site_and_in_the_readme(language: str) -> None:
    text = (ROOT / "docs" / "site.py").read_text(encoding="utf-8")
    (sections,) = (
        ast.literal_eval(node.value)
        for node in ast.parse(text).body
        if isinstance(node, ast.AnnAssign) and node.value is not None
    )
    listed = [name for names in sections.values() for name in names.split()]
    there = {page.stem for page in (ROOT / "docs" / language).glob("*.md")}
    assert sorted(listed) == sorted({"index"} | there)
    readme = "README.md" if language == "en" else "README_zh.md"
    shown = (ROOT / readme).read_text(encoding="utf-8")
    assert [name for name in there if f"(docs/{language}/{name}.md" not in shown] == []
