"""What is trained of real conversations, counted by the published tokenizer files alone."""

import base64
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import sentencepiece
import tiktoken

from tests.published import data_file, tokenizer_folder
from tuneglm.config import load_config
from tuneglm.data.collate import concatenate
from tuneglm.data.encode import Encoder, rule_of
from tuneglm.data.encoded import UNTRAINED
from tuneglm.data.examples import load_examples
from tuneglm.data.pipeline import encode_data
from tuneglm.models import family_named


def published_count(family_name: str) -> Callable[[str], int]:
    """Number of tokens of an answer, with the one that ends it, by the published files alone."""
    if family_name == "glm4":
        lines = (tokenizer_folder(family_name) / "tokenizer.model").read_text().splitlines()
        ranks = {base64.b64decode(piece): int(rank) for piece, rank in map(str.split, lines)}
        pattern = (
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
            r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
        )
        encoding = tiktoken.Encoding(
            "glm4", pat_str=pattern, mergeable_ranks=ranks, special_tokens={}
        )
        # the newline after the role, the text, and the role that comes next
        return lambda text: 1 + len(encoding.encode_ordinary(text)) + 1
    file = next(tokenizer_folder(family_name).glob("*.model"))
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(file))
    if family_name == "chatglm":
        return lambda text: len(pieces.encode(_spaces_as_tokens(text))) + 1
    newline = len(pieces.encode("\n")) if family_name == "chatglm3" else 0
    return lambda text: newline + len(pieces.encode(text)) + 1


def _spaces_as_tokens(text: str) -> str:
    """As ChatGLM-6B's own code writes white space before it encodes."""
    text = text.replace("\n", "<n>").replace("\t", "<|tab|>")
    for length in range(80, 1, -1):
        text = text.replace(" " * length, f"<|blank_{length}|>")
    return text


@pytest.mark.parametrize("family_name", ["chatglm", "chatglm2", "chatglm3", "glm4"])
def test_trained_tokens_of_conversations_are_those_of_their_answers(
    family_name: str, tmp_path: Path
) -> None:
    """LIMA's rows of several turns: counted in the packed batch, and from the texts."""
    given = [row for row in json.loads(data_file("lima.json").read_text()) if row.get("history")]
    assert len(given) == 29
    answers = [
        text for row in given for text in [*(old for _, old in row["history"]), row["output"]]
    ]
    family, count = family_named(family_name), published_count(family_name)
    file = tmp_path / "conversations.json"
    file.write_text(json.dumps(given))
    config = load_config(None, ["model.path=x", f"data.train={file}", "data.cutoff=100000"]).data
    tokenizer = family.load_tokenizer(tokenizer_folder(family_name))
    rule = rule_of(config, family.answers_per_row)
    encoder = Encoder(partial(family.render, tokenizer), rule, family_name)
    batch = concatenate(list(encode_data(load_examples(config), encoder, config).train.rows))
    trained = int((batch["labels"] != UNTRAINED).sum())
    assert trained == sum(count(text) for text in answers)
