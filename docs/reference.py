"""Write docs/reference.md from the classes of config.py: `make docs`."""

from collections.abc import Iterable
from pathlib import Path

from tuneglm.config import Option, chat_options, options, serve_options

PAGE = Path(__file__).with_name("reference.md")
HEAD = """# Options of a run

Written by `make docs` from `src/tuneglm/config.py`. Each can stand in a run file
(`section:` and the keys below it) or on the command line (`section.key=value`).

| option | default | |
|---|---|---|
"""


CHAT = """
# Options of an answer

For `tuneglm chat`; the fields of `tuneglm.ChatConfig` have the same names.

| option | default | |
|---|---|---|
"""

SERVE = """
# Options of tuneglm serve

| option | default | |
|---|---|---|
"""


def page() -> str:
    """The reference as Markdown."""
    return HEAD + _rows(options()) + CHAT + _rows(chat_options()) + SERVE + _rows(serve_options())


def _rows(shown: Iterable[Option]) -> str:
    rows = [
        f"| `{option.name}` | {'' if option.required else f'`{option.default}`'} | {option.text} |"
        for option in shown
    ]
    return "\n".join(rows).replace("||", "| |") + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
