"""The bytes of tokens: a character may be made of several, and one of its tokens has no text."""

import functools
import re
from typing import Any

from tuneglm.generate import ChatModel

_BYTE = re.compile(r"<0x([0-9A-F]{2})>")
# what a byte-level vocabulary writes for a line end
_LINE_END = "\u010a"


class Spelling:
    """Of a model's tokens.

    sentencepiece   a byte that is no character by itself is a token named after it
    byte-level BPE  every token is bytes, in an alphabet that has a letter for each
    """

    def __init__(self, chat: ChatModel) -> None:
        self._chat = chat
        # where there is no such token it is the unknown one, or none
        line_end: Any = chat.tokenizer.convert_tokens_to_ids(_LINE_END)
        self._is_byte_level = line_end is not None and chat.decode([line_end]) == "\n"

    def bytes_of(self, token: int, before: int | None) -> bytes | None:
        """What a token adds to a text, behind another or at its beginning; None for the
        format's own, which are no text.
        """
        name = self.name_of(token)
        if self._is_byte_level:
            return self._in_bytes(name) if self._chat.decode([token]) else None
        if byte := _BYTE.fullmatch(name):
            return bytes([int(byte[1], 16)])
        return self._piece(token, before).encode() or None

    def name_of(self, token: int) -> str:
        """The token as the vocabulary has it."""
        return str(self._chat.tokenizer.convert_ids_to_tokens(token))

    def _piece(self, token: int, before: int | None) -> str:
        """Behind another one: alone it would lose its space."""
        if before is None:
            return self._chat.decode([token])
        return self._chat.decode([before, token])[len(self._chat.decode([before])) :]

    @staticmethod
    def _in_bytes(name: str) -> bytes:
        alphabet = _alphabet()
        # what was added to the vocabulary is written as it is
        is_written = all(letter in alphabet for letter in name)
        return bytes(alphabet[letter] for letter in name) if is_written else name.encode()


@functools.cache
def _alphabet() -> dict[str, int]:
    """Letter → byte: those that can be seen stand for themselves, the others follow behind 255."""
    seen = [*range(33, 127), *range(161, 173), *range(174, 256)]
    unseen = [byte for byte in range(256) if byte not in seen]
    letters = {chr(byte): byte for byte in seen}
    return letters | {chr(256 + place): byte for place, byte in enumerate(unseen)}
