"""Ids of many texts, where an id alone says how many bytes of the text it stands for.

So it is known where each token begins, for which a fast tokenizer asks the time of its
ids once more.
"""

from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from tuneglm.data.encoded import Array
from tuneglm.models.glm4.tokenization import WORDS
from tuneglm.models.native.ranks import encoding_of, pre_tokenizer_of
from tuneglm.models.word_ids import WordIds

MANY_TEXTS = 10_000  # for fewer it takes longer to find the faster way than to go the slow one


class ByteIds:
    """What is known of a tokenizer.

    sizes  how many bytes each id stands for; None where it does not say so. It does in
           byte-level vocabularies that take a text as it is: GLM's, Llama 3's, GPT-2's
    count  tokens that it had
    """

    def __init__(self, tokenizer: Any) -> None:
        self.sizes = _found_sizes(tokenizer)
        self.count = len(tokenizer)
        self._asked = 0
        self._words: WordIds | None = None

    def hurry(self, tokenizer: Any) -> None:
        """Find the faster way, if there is one; once."""
        if self._asked >= MANY_TEXTS or self.sizes is None:
            return
        encoding = encoding_of(tokenizer)
        self._words = None if encoding is None else WordIds(encoding, WORDS)
        self._asked = MANY_TEXTS

    def ids(self, tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
        """The ids of texts, special tokens in them too."""
        if self._asked + len(texts) >= MANY_TEXTS:
            self.hurry(tokenizer)
        self._asked += len(texts)
        if self._words is None:
            return _by_backend(tokenizer.backend_tokenizer, texts)
        return self._words.ids(texts)


_KNOWN: WeakKeyDictionary[Any, ByteIds] = WeakKeyDictionary()


def byte_ids_of(tokenizer: Any) -> ByteIds:
    """What is known of a tokenizer, as long as it is given no more tokens."""
    known = _KNOWN.get(tokenizer)
    if known is None or known.count != len(tokenizer):
        known = _KNOWN[tokenizer] = ByteIds(tokenizer)
    return known


def prepare(tokenizer: Any) -> None:
    """Find the faster way now: processes that begin afterwards share what it keeps in memory."""
    byte_ids_of(tokenizer).hurry(tokenizer)


def _by_backend(backend: Any, texts: Sequence[str]) -> list[list[int]]:
    # as an ordinary call would set it
    backend.encode_special_tokens = False
    backend.no_padding()
    backend.no_truncation()
    encodings = backend.encode_batch_fast(texts, add_special_tokens=False)
    return [encoding.ids for encoding in encodings]


def _found_sizes(tokenizer: Any) -> Array | None:
    backend = tokenizer.backend_tokenizer
    if backend.normalizer is not None or not _ends_in_bytes(backend):
        return None
    # a byte is one character of a token's name; added tokens are texts
    sizes = {number: len(name) for name, number in tokenizer.get_vocab().items()}
    added = tokenizer.added_tokens_decoder.items()
    sizes |= {number: len(str(token).encode()) for number, token in added}
    return np.array([sizes.get(number, 0) for number in range(max(sizes) + 1)])


def _ends_in_bytes(backend: Any) -> bool:
    """Whether a text's words become characters that stand for its bytes, each one."""
    steps = pre_tokenizer_of(backend)
    known = all(step["type"] in ("Split", "Digits", "ByteLevel") for step in steps)
    last = steps[-1] if steps else {}
    return known and last.get("type") == "ByteLevel" and not last["add_prefix_space"]
