"""What the page says, in Chinese and in English: every text stands once in `words.yaml`.

Each language has a page of its own, made of its words alone: labels, help, messages.
"""

import re
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

import yaml

from tuneglm.web.fields import Field
from tuneglm.web.sentences import in_chinese, kind_in_chinese

LANGUAGES = {"zh": "中文", "en": "English"}
# as browsers and HTML name them
TAGS = {"zh": "zh-CN", "en": "en"}


@dataclass(frozen=True)
class Words:
    """The words of one language, by key: `words("train.start")`."""

    language: str

    def __call__(self, key: str, **values: Any) -> str:
        """The text, with `{name}` filled in."""
        text: str = _texts("words")[key][self.language]
        return text.format(**values) if values else text

    def label(self, field: Field) -> str:
        """What a field of the form is called."""
        name = field.key.rpartition(".")[2].replace("_", " ")
        own = name[0].upper() + name[1:]
        return own if self.language == "en" else self._of_field(field, "label") or own

    def help(self, field: Field) -> str:
        """What it does: its docstring, or what says the same in this language."""
        own = field.text if self.language == "en" else ""
        return own or self._of_field(field, "help") or field.text

    def method(self, name: str, docstring: str) -> str:
        """When to choose a method."""
        own = " ".join(docstring.split())
        written = _texts("options").get(f"method={name}", {})
        return own if self.language == "en" else str(written.get("zh", own))

    def problem(self, kind: str, english: str) -> str:
        """What a word of PROBLEMS means."""
        return english if self.language == "en" else str(_texts("problems")[kind])

    def refusal(self, sentence: str, hint: str = "", kind: str = "command") -> str:
        """An error's sentence and hint, as HTML.

        kind  the class of the error: said before a sentence that stands in English alone
        """
        is_foreign = self.language == "zh" and in_chinese(sentence) is None
        frame = f"<b>{kind_in_chinese(kind)}</b> " if is_foreign else ""
        more = f'<div class="hint">{marked(self.said(hint))}</div>' if hint else ""
        return f'<div class="refusal">{frame}{marked(self.said(sentence))}{more}</div>'

    def good(self, key: str, **values: Any) -> str:
        """A sentence that something was done, as HTML."""
        return f'<div class="done">{marked(self(key, **values))}</div>'

    def typed(self, command: str) -> str:
        """A command that does at a terminal what the page did, as HTML."""
        return f'<p class="typed">{self("page.typed")}<code>{escape(command)}</code></p>'

    def said(self, sentence: str) -> str:
        """A sentence of tuneglm in this language, where the page knows it; else as it is."""
        return sentence if self.language == "en" else in_chinese(sentence) or sentence

    def _of_field(self, field: Field, part: str) -> str:
        """What `options.yaml` says of it; nothing of an option that somebody added."""
        text = _texts("options").get(field.key, {}).get(self.language, {}).get(part, "")
        # methods may mean different things by one name
        return str(text.get(field.method, "") if isinstance(text, dict) else text)


@cache
def _texts(name: str) -> dict[str, Any]:
    text = Path(__file__).with_name(f"{name}.yaml").read_text(encoding="utf-8")
    texts: dict[str, Any] = yaml.safe_load(text)
    return texts


def in_each_language(key: str) -> str:
    """A text for who may read either, a line a language."""
    return "".join(f"{Words(language)(key)}\n" for language in LANGUAGES)


def marked(text: str) -> str:
    """Text as HTML; what stands in backticks is code."""
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(text))
