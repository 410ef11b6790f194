"""A sentencepiece file is read once for two that ask, and nothing of it stays."""

import struct

import pytest

from tuneglm.models import sentencepiece_model as module
from tuneglm.models.sentencepiece_model import BYTE_PAIRS, UNIGRAM, UNKNOWN, SentencePieceFile


def field(number: int, content: bytes) -> bytes:
    """A field of bytes, shorter than 128."""
    return bytes([number << 3 | 2, len(content)]) + content


def number(number: int, value: int) -> bytes:
    return bytes([number << 3, value])


def file_of(*pieces: str) -> bytes:
    """BPE, with the unknown piece before these."""
    scores = (bytes([2 << 3 | 5]) + struct.pack("<f", -each) for each in range(len(pieces)))
    written = [field(1, field(1, b"<unk>") + number(3, UNKNOWN))]
    written += [
        field(1, field(1, piece.encode()) + score)
        for piece, score in zip(pieces, scores, strict=True)
    ]
    return b"".join(written) + field(2, number(3, BYTE_PAIRS))


def test_what_was_read_serves_one_more_and_is_let_go() -> None:
    content, other = file_of("a", "b", "ab"), file_of("a")
    first = SentencePieceFile.parse(content, BYTE_PAIRS)
    assert [piece.text for piece in first.pieces] == ["<unk>", "a", "b", "ab"]
    assert SentencePieceFile.parse(content, BYTE_PAIRS) is first
    assert not module._READ_ONCE
    assert SentencePieceFile.parse(content, BYTE_PAIRS) == first
    assert len(SentencePieceFile.parse(other, BYTE_PAIRS).pieces) == 2
    assert len(module._READ_ONCE) == 1
    with pytest.raises(ValueError, match="of type unigram"):
        SentencePieceFile.parse(other, UNIGRAM)
