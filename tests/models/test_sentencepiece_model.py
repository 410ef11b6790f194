"""A sentencepiece file is read once for two that ask, and nothing of it stays."""

import struct

import pytest

from tuneglm.models import sentencepiece_model as module
from tuneglm.models.sentencepiece_model import (
    BYTE,
    BYTE_PAIRS,
    NORMAL,
    UNIGRAM,
    UNKNOWN,
    Piece,
    SentencePieceFile,
    _piece,
)


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


SCORED = b"\x15" + struct.pack("<f", -1.5)


@pytest.mark.parametrize(
    ("written", "piece"),
    [
        (b"\n\x01a" + SCORED, Piece("a", -1.5, NORMAL)),
        (b"\n\x01a" + SCORED + b"\x18\x06", Piece("a", -1.5, BYTE)),
        (b"\x18\x06" + SCORED + b"\n\x01a", Piece("a", -1.5, BYTE)),
        (b"\n\x03" + "字".encode() + SCORED, Piece("字", -1.5, NORMAL)),
        (b"\n\xc8\x01" + b"b" * 200 + SCORED, Piece("b" * 200, -1.5, NORMAL)),
        (b"\n\x7e" + b"b" * 126 + SCORED, Piece("b" * 126, -1.5, NORMAL)),
        (b"\n\x01a", Piece("a", 0.0, NORMAL)),
        (b"\n\x01a" + SCORED + b"\x20\x06", Piece("a", -1.5, NORMAL)),
        (b"\n\x01a" + SCORED + SCORED[:1] + struct.pack("<f", 2), Piece("a", 2.0, NORMAL)),
    ],
)
def test_a_piece_is_read_however_it_is_written(written: bytes, piece: Piece) -> None:
    """As sentencepiece writes it, which has a short way, and as any protocol buffer may be."""
    assert _piece(written) == piece


@pytest.mark.parametrize("written", [b"\n\x05a", b"\n", b"\n\x01a\x15\x00", b"\x0b"])
def test_a_piece_that_is_cut_short_is_none(written: bytes) -> None:
    with pytest.raises(ValueError, match=r"cut short|not a protocol buffer"):
        _piece(written)
