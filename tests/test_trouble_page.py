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


# what people met with other programs, by number in the list of them → words of the page
MET = {
    1: "loss 0 or nan from the first steps",
    2: "after a first good step of full tuning",
    3: "`The loss rises: ",
    4: "unexpected keyword argument 'padding_side'",
    5: "no attribute 'sp_tokenizer'",
    6: "can't set attribute 'eos_token'",
    7: "'_extract_past_from_model_output'",
    8: "130004 is not in list",
    9: "the model never stops",
    10: "another program answers differently",
    11: "tuned weights change nothing",
    12: "a P-tuning result answers nonsense",
    13: "no attribute 'prefix_encoder'",
    14: "prefix tuning with gradient checkpointing",
    15: "has forgotten the rest",
    16: "rows about its name do nothing among many others",
    17: "`The run needs more memory than there is",
    18: "memory ends at an evaluation only",
    19: "4 bits take as much memory as 16",
    20: "LoRA on an official int8 or int4 checkpoint",
    21: "expected scalar type Half but found Float",
    22: "merged weights answer differently",
    23: "all tensors to be on the same device",
    24: "ZeRO-3 or FSDP runs out of memory",
    25: "holds an unfinished run with another",
    26: "KeyError: 'content'",
    27: "reading the rows takes long",
    28: "only the last answer of a conversation is learnt",
    29: "A loss that stays at 3 to 6",
    30: "no GPU, Windows, a Mac",
}


def test_what_people_met_is_on_the_page_on_trouble() -> None:
    text = page_of("en")
    assert [words for words in MET.values() if words not in text] == []
    assert [*MET] == [*range(1, 31)]
    tables = [re.findall(r"^\|[^|]*\|[^|]*\|$", page_of(language), re.M) for language in LANGUAGES]
    assert len(tables[0]) == len(tables[1])
