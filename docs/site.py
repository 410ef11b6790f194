"""What turns this folder into a site: the READMEs as first pages, the order of the others.

A page may link to what lies outside this folder; on the site such a link leads to the
repository. `make docs` builds it by mkdocs, which calls the functions here by their names.
"""

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
LANGUAGES = {"en": ("README.md", "English"), "zh": ("README_zh.md", "中文")}
SHARED = {"reference.md": "Reference", "design.md": "Design"}
_LINK = re.compile(r"\]\((?!https?:|#)([^)\s]+)\)")


def on_config(config: Any) -> Any:
    """The order of pages is that in which the READMEs name them."""
    languages: list[dict[str, Any]] = [
        {title: [f"{language}/index.md", *(f"{language}/{name}" for name in _named(language))]}
        for language, (_, title) in LANGUAGES.items()
    ]
    config.nav = [*languages, *({title: name} for name, title in SHARED.items())]
    return config


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

    return _LINK.sub(placed, markdown)


def _named(language: str) -> list[str]:
    """The pages of a language, as its README lists them; what it leaves out comes last."""
    text = (ROOT / LANGUAGES[language][0]).read_text(encoding="utf-8")
    listed = next(line for line in text.splitlines() if line.startswith(f"| [docs/{language}]"))
    named = re.findall(rf"\]\(docs/{language}/([a-z0-9-]+\.md)", listed)
    there = sorted(path.name for path in (ROOT / "docs" / language).glob("*.md"))
    return [*named, *(name for name in there if name not in named)]
