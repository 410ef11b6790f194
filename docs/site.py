"""What turns this folder into a site: the READMEs as first pages, the others in sections.

A page may link to what lies outside this folder; on the site such a link leads to the
repository. `make docs` builds it by mkdocs, which calls the functions here by their names.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
LANGUAGES = {"en": ("README.md", "English"), "zh": ("README_zh.md", "中文")}
SHARED = {"design.md": "Design"}
# title of a section, in either language → its pages
SECTIONS: dict[tuple[str, str], str] = {
    ("Start", "开始"): "index start demo",
    (
        "Guides",
        "指南",
    ): "data named-sets mixing identity methods plan several resuming chat api web "
    "evaluation export offline original doctor trouble",
    ("Concepts", "概念"): "models chatglm-6b stages batches precision",
    ("Project", "项目"): "reference performance extending",
}
# a fence with two words: a file's name becomes a title, an exit code is for tests
_FENCE = re.compile(r"^```(\w+) (\S+)$", re.M)
_LINK = re.compile(r"\]\((?!https?:|#)([^)\s]+)\)")


def on_config(config: Any) -> Any:
    """A tab for each language, with its sections."""
    languages = [
        {title: [*_sections(language, number)]}
        for number, (language, (_, title)) in enumerate(LANGUAGES.items())
    ]
    config.nav = [*languages, *({title: name} for name, title in SHARED.items())]
    return config


def _sections(language: str, number: int) -> Iterator[dict[str, list[str]]]:
    for titles, names in SECTIONS.items():
        yield {titles[number]: [f"{language}/{name}.md" for name in names.split()]}


def on_files(files: Files, config: Any) -> Files:
    """Each README is its language's first page, and the English one the site's."""
    for language, (name, _) in LANGUAGES.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        files.append(File.generated(config, f"{language}/index.md", content=text))
    away = '<meta http-equiv="refresh" content="0; url=en/">'
    files.append(File.generated(config, "index.html", content=away))
    return files


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Files) -> str:
    """Links as they are from where the page stands on the site."""
    path = page.file.src_uri
    readmes = {f"{language}/index.md": ROOT / name for language, (name, _) in LANGUAGES.items()}
    place = readmes.get(path, ROOT / "docs" / path).parent
    start = Path("docs") / path

    def placed(link: re.Match[str]) -> str:
        target, hash_, anchor = link[1].partition("#")
        inside = (place / target).resolve().relative_to(ROOT)
        for language, (name, _) in LANGUAGES.items():
            if inside.as_posix() in (name, f"docs/{language}"):
                inside = Path(f"docs/{language}/index.md")
        if inside.parts[0] != "docs" or not inside.suffix:
            return f"]({config.repo_url}/blob/main/{inside.as_posix()}{hash_}{anchor})"
        up = [".."] * (len(start.parts) - 2)
        return f"]({'/'.join([*up, *inside.parts[1:]])}{hash_}{anchor})"

    return _LINK.sub(placed, _FENCE.sub(_titled, markdown))


def _titled(fence: re.Match[str]) -> str:
    kind, word = fence.groups()
    return f"```{kind}" if word.isdecimal() else f'```{kind} title="{word}"'
