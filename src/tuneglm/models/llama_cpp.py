"""A family's vocabulary as llama.cpp's files hold it: every id with its text, kind and score.

sentencepiece   `llama`: pieces with their scores; the format's own tokens behind them
byte-level BPE  `gpt2`: tokens in byte-level BPE's characters, and merges; `chatglm-bpe` is
                the name under which llama.cpp knows how GLM-4 cuts a text into words
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tuneglm.errors import ModelError
from tuneglm.models.sentencepiece_model import (
    BYTE_PAIRS,
    CONTROL,
    NORMAL,
    UNUSED,
    SentencePieceFile,
)

FILE = "tokenizer.model"
# the network's name there, whose tensors go by the published names
ARCHITECTURE = "chatglm"


@dataclass(frozen=True)
class Vocabulary:
    """What a file of llama.cpp says of the tokenizer.

    model, pre  how texts become tokens, and are cut before
    tokens      the text of every id, up to the number of embeddings
    kinds       1 normal, 2 unknown, 3 control, 4 a user's, 5 unused, 6 byte
    scores      of sentencepiece's pieces; empty for byte-level BPE
    merges      of byte-level BPE; empty for sentencepiece
    prefix      whether a text begins with a space of sentencepiece's
    ids         `eos`, `eot`, `pad`, `unk` → their ids
    """

    model: str
    pre: str
    tokens: list[str]
    kinds: list[int]
    scores: list[float] = field(default_factory=list)
    merges: list[str] = field(default_factory=list)
    prefix: bool = False
    ids: Mapping[str, int] = field(default_factory=dict)


# (tokenizer, folder of the model, number of embeddings) → its vocabulary
MakeVocabulary = Callable[[Any, Path, int], Vocabulary]


def sentencepiece_vocabulary(tokenizer: Any, folder: Path, size: int) -> Vocabulary:
    """Of the published `tokenizer.model`, and of the specials that follow its pieces."""
    path = folder / FILE
    if not path.is_file():
        raise ModelError(
            f"There is no `{FILE}` in `{folder}`, in which the scores of its pieces stand.",
            "copy it from the model's page",
        )
    file = SentencePieceFile.parse(path.read_bytes(), BYTE_PAIRS)
    pieces = file.pieces
    tokens, kinds = [piece.text for piece in pieces], [piece.kind for piece in pieces]
    scores = [piece.score for piece in pieces]
    _add_rest(tokenizer, tokens, kinds, size)
    scores += [0.0] * (size - len(scores))
    ids = _ids(tokenizer) | {"unk": tokenizer.convert_tokens_to_ids("<unk>")}
    return Vocabulary(
        "llama", "chatglm-spm", tokens, kinds, scores, prefix=file.dummy_prefix, ids=ids
    )


def byte_vocabulary(tokenizer: Any, folder: Path, size: int) -> Vocabulary:
    """Of a byte-level BPE; `folder` is not looked at."""
    del folder
    content = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    vocabulary: dict[str, int] = content["vocab"]
    tokens = sorted(vocabulary, key=vocabulary.__getitem__)
    kinds = [NORMAL] * len(tokens)
    _add_rest(tokenizer, tokens, kinds, size)
    merges = [each if isinstance(each, str) else " ".join(each) for each in content["merges"]]
    return Vocabulary("gpt2", "chatglm-bpe", tokens, kinds, merges=merges, ids=_ids(tokenizer))


def _add_rest(tokenizer: Any, tokens: list[str], kinds: list[int], size: int) -> None:
    """The specials, and names for embeddings that no token has."""
    added = tokenizer.added_tokens_decoder
    for index in range(len(tokens), size):
        token = added.get(index)
        tokens.append(f"[PAD{index}]" if token is None else token.content)
        kinds.append(UNUSED if token is None else CONTROL)
    if len(tokens) > size or max(added) >= size:
        raise ModelError(
            f"The tokenizer has {max(len(tokens), max(added) + 1)} tokens, and the model "
            f"{size} embeddings.",
            "the two are of different models",
        )


def _ids(tokenizer: Any) -> dict[str, int]:
    ids = {"eos": tokenizer.eos_token_id, "pad": tokenizer.pad_token_id}
    names = {token.content: index for index, token in tokenizer.added_tokens_decoder.items()}
    if "<|user|>" in names:
        # an answer ends where it is the user's turn
        ids["eot"] = names["<|user|>"]
    return {name: index for name, index in ids.items() if index is not None}
