"""Paths as whoever sits in a folder types and reads them: relative to it, or to the home folder."""

import os
import re
from pathlib import Path


def typed(path: str | Path, root: Path) -> str:
    """A path as it is typed in the folder `root`; one that leads far away stays as it is."""
    given = Path(path)
    if not given.is_absolute() or not given.resolve().is_relative_to(root.parent):
        return str(path)
    return os.path.relpath(given.resolve(), root)


def shown(text: str, root: Path) -> str:
    """A text in which paths in the folder and beside it are relative to it, others to the home."""
    for folder, short in ((root, ""), (root.parent, "../"), (Path.home(), "~/")):
        if folder != Path(folder.anchor):
            # where a path begins, and not in the middle of one; no shell reads `~` in quotes
            quote = "'" if short == "~/" else ""
            text = re.sub(rf"(?<![\w./~{quote}-]){re.escape(str(folder))}/", short, text)
    return text


def folder_shown(folder: Path) -> str:
    """A folder itself: relative to where the page was started, or to the home folder."""
    for base, short in ((Path.cwd(), ""), (Path.home(), "~/")):
        if folder.is_relative_to(base) and base != Path(base.anchor):
            return f"{short}{folder.relative_to(base)}"
    return str(folder)
