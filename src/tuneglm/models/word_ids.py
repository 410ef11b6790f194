"""Ids by word, for many texts that are not English: a word that was met before is looked up.

A text without spaces between its words is split at its punctuation, and clauses and
figures of a set come again and again; tiktoken would merge the bytes of each anew. In
English most words are one token, and tiktoken is as fast as looking them up.
"""

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
        self._known: dict[str, list[int]] = {}

    def ids(self, texts: list[str]) -> list[list[int]]:
        """The ids of texts, special tokens in them too."""
        count = threads(texts)
        if count > 1:
            ids: list[list[int]] = self._encoding.encode_batch(
                texts, num_threads=count, allowed_special="all"
            )
            return ids
        return [self._ascii(text) if text.isascii() else self._by_word(text) for text in texts]

    def _ascii(self, text: str) -> list[int]:
        return self._encoding.encode(text, allowed_special="all")

    def _by_word(self, text: str) -> list[int]:
        pieces = [text] if self._specials is None else self._specials.split(text)
        ids: list[int] = []
        known = self._known
        for number, piece in enumerate(pieces):
            if number % 2:
                ids.append(self._encoding.encode_single_token(piece))
                continue
            for word in self._words.findall(piece):
                found = known.get(word)
                if found is None:
                    # a word alone is split no further
                    found = self._kept(word, self._encoding.encode_ordinary(word))
                ids += found
        return ids

    def _kept(self, word: str, ids: list[int]) -> list[int]:
        if len(word) <= LONGEST_KEPT:
            if len(self._known) >= WORDS_KEPT:
                self._known.clear()
            self._known[word] = ids
        return ids
