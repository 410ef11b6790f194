"""Ids by word, for many texts that are not English: a word that was met before is looked up.

A text without spaces between its words is split at its punctuation, and clauses and
figures of a set come again and again; tiktoken would merge the bytes of each anew. In
English most words are one token, and tiktoken is as fast as looking them up.
"""

from array import array
from collections.abc import Sequence

import regex
import tiktoken

from tuneglm.models.tokenization import threads

WORDS_KEPT = 2**17  # some thirty megabytes
LONGEST_KEPT = 32  # characters; what is longer hardly comes again


class WordIds:
    """The ids that an encoding gives, which splits texts into words by `pattern`.

    For a process with its brothers on the other processors; one that has them all to itself
    leaves the texts to the encoding's threads.
    """

    def __init__(self, encoding: tiktoken.Encoding, pattern: str) -> None:
        self._encoding = encoding
        self._words = regex.compile(pattern)
        names = sorted(encoding.special_tokens_set, key=len, reverse=True)
        self._specials = regex.compile(r"(\L<names>)", names=names) if names else None
        self._known = _Known(encoding)

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of texts, special tokens in them too."""
        count = threads(texts)
        if count > 1:
            ids: list[list[int]] = self._encoding.encode_batch(
                list(texts), num_threads=count, allowed_special="all"
            )
            return ids
        return [self._ascii(text) if text.isascii() else self._by_word(text) for text in texts]

    def _ascii(self, text: str) -> list[int]:
        return self._encoding.encode(text, allowed_special="all")

    def _by_word(self, text: str) -> list[int]:
        pieces = [text] if self._specials is None else self._specials.split(text)
        words: list[str] = []
        for number, piece in enumerate(pieces):
            if number % 2:
                words.append(piece)
            elif piece:
                words += self._words.findall(piece)
        # all of it happens in C, but for words that are new
        return array("i", b"".join(map(self._known.__getitem__, words))).tolist()


class _Known(dict[str, bytes]):
    """The ids of words and special tokens: those that were met, and all others when asked for.

    As the bytes of an array: to put these together touches no number, of which a list would
    count every use in a place of memory of its own.
    """

    def __init__(self, encoding: tiktoken.Encoding) -> None:
        super().__init__()
        self._encoding = encoding
        self._forget()

    def __missing__(self, word: str) -> bytes:
        # a word alone is split no further
        ids = array("i", self._encoding.encode_ordinary(word)).tobytes()
        if len(word) <= LONGEST_KEPT:
            if len(self) >= WORDS_KEPT:
                self._forget()
            self[word] = ids
        return ids

    def _forget(self) -> None:
        self.clear()
        for name in self._encoding.special_tokens_set:
            self[name] = array("i", [self._encoding.encode_single_token(name)]).tobytes()
