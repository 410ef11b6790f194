"""The page on trouble: what tuneglm prints, and what people met with other programs."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LANGUAGES = ("en", "zh")


def page_of(language: str) -> str:
    return (ROOT / "docs" / language / "trouble.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_sentences_of_the_page_on_trouble_are_those_of_the_code(language: str) -> None:
    """Of each, the longest run of words between values."""
    said = "\n".join(spoken(path) for path in (ROOT / "src").rglob("*.py"))
    sentences = re.findall(r"^\| `(.+)` \|[^|]+\|$", page_of(language), re.M)
    assert len(sentences) > 20
    for sentence in sentences:
        pieces = re.split(r"…|`[^`]*`|\(nan\)|[\w.]+=\S+|\b[\d,]+\w*|wandb", sentence)
        longest = max((piece.strip(" ;,.") for piece in pieces), key=len)
        assert longest in said, sentence


def test_the_pages_on_trouble_tell_of_the_same() -> None:
    pages = [page_of(language) for language in LANGUAGES]
    first, second = (re.findall(r"^\| `(.+)` \|[^|]+\|$", page, re.M) for page in pages)
    assert first == second


def spoken(path: Path) -> str:
    """The texts in a program, a value in them as `…`."""
    texts = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.Constant) else "…" for part in node.values]
            texts.append("".join(map(str, parts)))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            texts.append(node.value)
    return "\n".join(texts)


# what people met with other programs, by the words that the page has of it
MET = (
    "loss 0 or nan from the first steps",
    "after a first good step of full tuning",
    "`The loss rises: ",
    "unexpected keyword argument 'padding_side'",
    "no attribute 'sp_tokenizer'",
    "can't set attribute 'eos_token'",
    "'_extract_past_from_model_output'",
    "130004 is not in list",
    "the model never stops",
    "another program answers differently",
    "tuned weights change nothing",
    "a P-tuning result answers nonsense",
    "no attribute 'prefix_encoder'",
    "prefix tuning with gradient checkpointing",
    "has forgotten the rest",
    "rows about its name do nothing among many others",
    "`The run needs more memory than there is",
    "memory ends at an evaluation only",
    "4 bits take as much memory as 16",
    "LoRA on an official int8 or int4 checkpoint",
    "expected scalar type Half but found Float",
    "merged weights answer differently",
    "all tensors to be on the same device",
    "ZeRO-3 or FSDP runs out of memory",
    "holds an unfinished run with another",
    "KeyError: 'content'",
    "reading the rows takes long",
    "only the last answer of a conversation is learnt",
    "A loss that stays at 3 to 6",
    "no GPU, Windows, a Mac",
)


def test_what_people_met_is_on_the_page_on_trouble() -> None:
    text = page_of("en")
    assert [words for words in MET if words not in text] == []
    tables = [re.findall(r"^\|[^|]*\|[^|]*\|$", page_of(language), re.M) for language in LANGUAGES]
    assert len(tables[0]) == len(tables[1])
