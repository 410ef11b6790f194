"""Rows tokenised a second, against the way the published classes work, in the same run.

    python benchmarks/tokenizer_speed.py [--tokenizers FOLDER] [--rows FILE] [--rounds N]

The published tokenizers of ChatGLM2, ChatGLM3 and GLM-4 are Python classes on
transformers' slow base class: text → pieces (sentencepiece or tiktoken) → ids,
one row after another. `PublishedWay` does the same through the same base class.
Rounds alternate between the two, and the best of each counts.
"""

import argparse
import base64
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sentencepiece
import tiktoken
from transformers import PreTrainedTokenizer

from tuneglm.demo.corpus import general_rows
from tuneglm.models.chatglm.tokenization_chatglm import write_spaces
from tuneglm.models.loading import load_tokenizer

FOLDERS = {
    "chatglm": "chatglm-6b",
    "chatglm2": "chatglm2-6b",
    "chatglm3": "chatglm3-6b",
    "glm4": "glm-4-9b-chat",
}
SHARED = Path(__file__).parents[2] / "shared"
# line ends, tabs and runs of spaces, which ChatGLM-6B's published class writes as pieces
SPACES = re.compile(r"\n|\t|  +")
PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


class PublishedWay(PreTrainedTokenizer):
    """A slow tokenizer: pieces by the C++ or Rust library, all else in Python."""

    def __init__(self, folder: Path, **options: Any) -> None:
        path = next(folder.glob("*.model"))
        if path.read_bytes()[:1] == b"\n":
            pieces = sentencepiece.SentencePieceProcessor(str(path))
            self._size = pieces.vocab_size()
            self._split: Callable[[str], list[Any]] = lambda text: pieces.encode(
                SPACES.sub(write_spaces, text) if path.stem == "ice_text" else text, out_type=str
            )
            self._id: Callable[[Any], int] = pieces.piece_to_id
            self._piece: Callable[[int], Any] = pieces.id_to_piece
        else:
            ranks = {}
            for line in path.read_text().splitlines():
                token, rank = line.split()
                ranks[base64.b64decode(token)] = int(rank)
            encoding = tiktoken.Encoding(
                "glm", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens={}
            )
            names = {rank: token for token, rank in ranks.items()}
            self._size = len(ranks)
            self._split = lambda text: [names[rank] for rank in encoding.encode_ordinary(text)]
            self._id = lambda token: ranks.get(token, 0)
            self._piece = names.__getitem__
        super().__init__(**options)

    @property
    def vocab_size(self) -> int:
        return self._size

    def get_vocab(self) -> dict[str, int]:
        return {str(self._piece(place)): place for place in range(self._size)}

    def _tokenize(self, text: str, **_: Any) -> list[Any]:
        return self._split(text)

    def _convert_token_to_id(self, token: Any) -> int:
        return self._id(token)

    def _convert_id_to_token(self, index: int) -> Any:
        return self._piece(index)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokenizers", type=Path, default=SHARED / "tokenizers")
    parser.add_argument("--rows", type=Path, default=SHARED / "data" / "alpaca_zh_demo.json")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    rows = json.loads(given.rows.read_text()) if given.rows.is_file() else general_rows()[:2000]
    texts = ["\n".join(filter(None, (row["instruction"], row["output"]))) for row in rows]
    characters = sum(map(len, texts)) / len(texts)
    print(f"{len(texts)} rows of {characters:.0f} characters on average; rows a second, and ratio")
    for family, name in FOLDERS.items():
        folder = given.tokenizers / name
        if not folder.is_dir():
            print(f"{family}: no published tokenizer in {folder}; name its place by --tokenizers")
            continue
        published, ours = PublishedWay(folder), load_tokenizer(folder, family=family)
        calls: dict[str, Callable[[], Any]] = {
            "published way": lambda published=published: published(texts),
            "ordinary call": lambda ours=ours: ours(texts),
            "in bulk": lambda ours=ours: ours.encode_bulk(texts),
        }
        best = dict.fromkeys(calls, float("inf"))
        for _ in range(given.rounds):
            for label, call in calls.items():
                start = time.perf_counter()
                call()
                best[label] = min(best[label], time.perf_counter() - start)
        slow = best["published way"]
        print(
            f"{family:9}"
            + " · ".join(
                f"{label} {len(texts) / seconds:,.0f} ({slow / seconds:.1f} ×)"
                for label, seconds in best.items()
            )
        )


if __name__ == "__main__":
    main()
