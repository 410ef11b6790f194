"""A sentencepiece file: its pieces, and the tokenizer that is built of it once for two that ask."""

import struct
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from tuneglm.models import tokenization
from tuneglm.models.chatglm2.tokenization import ChatGLM2TokenizerFast
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


def test_a_file_says_its_pieces_and_of_which_kind_it_is() -> None:
    content = file_of("a", "b", "ab")
    read = SentencePieceFile.parse(content, BYTE_PAIRS)
    assert [piece.text for piece in read.pieces] == ["<unk>", "a", "b", "ab"]
    with pytest.raises(ValueError, match="of type unigram"):
        SentencePieceFile.parse(content, UNIGRAM)


def test_what_was_built_serves_one_more_and_is_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run loads its tokenizer twice; the two are two, and no third is waited for."""
    built: list[bytes] = []
    build = ChatGLM2TokenizerFast.build

    def counted(published: bytes) -> Tokenizer:
        built.append(published)
        return build(published)

    monkeypatch.setattr(ChatGLM2TokenizerFast, "build", staticmethod(counted))
    (tmp_path / "tokenizer.model").write_bytes(file_of("<s>", "</s>", "▁", "a", "b", "ab"))
    tokenization._BUILT.clear()
    first, second = (ChatGLM2TokenizerFast.load(tmp_path) for _ in range(2))
    assert len(built) == 1 and not tokenization._BUILT
    first.add_tokens(["ba"])
    assert "ba" not in second.get_vocab() and second("ab")["input_ids"]
    ChatGLM2TokenizerFast.load(tmp_path)
    (tmp_path / "tokenizer.model").write_bytes(file_of("<s>", "</s>", "▁", "a", "b"))
    assert "ab" not in ChatGLM2TokenizerFast.load(tmp_path).get_vocab()
    assert len(built) == 3 and len(tokenization._BUILT) == 1


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
