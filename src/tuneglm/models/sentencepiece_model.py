"""A sentencepiece file, BPE or unigram, as a fast tokenizer without its specials.

The file is a protocol buffer, of which a few fields are needed; reading them
here spares a dependency. Field numbers: sentencepiece_model.proto.
"""

import struct
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from tokenizers import Regex, Tokenizer, decoders, normalizers
from tokenizers.models import BPE, Unigram

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
UNIGRAM, BYTE_PAIRS = 1, 2
SPACE = "▁"
# a piece's fields as their keys, and the largest number that one byte holds
TEXT, SCORE, KIND, ONE_BYTE = b"\n", 0x15, 0x18, 0x7F
FLOAT = struct.Struct("<f")
# what no text may become by its spelling scores below every way to spell it
UNREACHABLE = -1e6


class Piece(NamedTuple):
    """One entry of the vocabulary; a higher score is likelier (unigram) or merged earlier (BPE)."""

    text: str
    score: float
    kind: int


@dataclass(frozen=True)
class SentencePieceFile:
    """What the file says, as far as a tokenizer needs it."""

    pieces: tuple[Piece, ...]
    charsmap: bytes
    dummy_prefix: bool
    collapses_spaces: bool

    @classmethod
    def parse(cls, data: bytes, algorithm: int) -> "SentencePieceFile":
        """The content of a file of that algorithm; raises ValueError when it is none."""
        try:
            return cls._parse(data, algorithm)
        except (LookupError, TypeError, AttributeError, struct.error) as error:
            raise ValueError(f"not a sentencepiece model: {error}") from None

    @classmethod
    def _parse(cls, data: bytes, algorithm: int) -> "SentencePieceFile":
        fields = _by_number(data)
        trainer = _by_number(fields[2][-1]) if fields[2] else defaultdict(list)
        if not fields[1] or (trainer[3] or [UNIGRAM])[-1] != algorithm:
            name = {UNIGRAM: "unigram", BYTE_PAIRS: "BPE"}[algorithm]
            raise ValueError(f"not a sentencepiece model of type {name}")
        normalizer = _by_number(fields[3][-1]) if fields[3] else defaultdict(list)
        return cls(
            pieces=tuple(_piece(piece) for piece in fields[1]),
            charsmap=normalizer[2][-1] if normalizer[2] else b"",
            dummy_prefix=normalizer[3][-1:] != [0],
            collapses_spaces=normalizer[4][-1:] != [0],
        )


def build_bpe(file: SentencePieceFile) -> Tokenizer:
    """The same ids as sentencepiece gives, from the `tokenizers` library."""
    model = BPE(
        vocab={piece.text: index for index, piece in enumerate(file.pieces)},
        merges=merges(file.pieces),
        unk_token=next(piece.text for piece in file.pieces if piece.kind == UNKNOWN),
        fuse_unk=True,
        byte_fallback=any(piece.kind == BYTE for piece in file.pieces),
    )
    return _around(model, file)


def build_unigram(file: SentencePieceFile) -> Tokenizer:
    """The same ids as sentencepiece gives; the spelling of a control piece stays text."""
    model = Unigram(
        vocab=[(piece.text, _unigram_score(piece)) for piece in file.pieces],
        unk_id=next(i for i, piece in enumerate(file.pieces) if piece.kind == UNKNOWN),
        byte_fallback=any(piece.kind == BYTE for piece in file.pieces),
    )
    return _around(model, file)


def merges(pieces: tuple[Piece, ...]) -> list[tuple[str, str]]:
    """Every way to make a piece of two, in the order in which sentencepiece would take it.

    sentencepiece knows only the scores of pieces and takes the leftmost of equals.
    Two ways to make one piece compete where a run such as `aaaaa` stands as
    `aa aa a`: leftmost then means that the longer part comes first.
    """
    scores = {piece.text: piece.score for piece in pieces if piece.kind == NORMAL}
    ordered = sorted(scores, key=lambda text: -scores[text])
    return [
        (text[:cut], text[cut:])
        for text in ordered
        for cut in range(len(text) - 1, 0, -1)
        if text[:cut] in scores and text[cut:] in scores
    ]


def _unigram_score(piece: Piece) -> float:
    if piece.kind in (UNKNOWN, CONTROL, BYTE):
        return UNREACHABLE
    # sentencepiece takes a user's own symbol before every other way to read it
    return 0.0 if piece.kind == USER_DEFINED else piece.score


def _around(model: Any, file: SentencePieceFile) -> Tokenizer:
    """The tokenizer of a model: sentencepiece's way to and from its pieces."""
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence(_normalizers(file))
    strip = [decoders.Strip(" ", 1, 0)] if file.dummy_prefix else []
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), *strip]
    )
    return tokenizer


def _normalizers(file: SentencePieceFile) -> list[normalizers.Normalizer]:
    steps: list[normalizers.Normalizer] = []
    if file.charsmap:
        steps.append(normalizers.Precompiled(file.charsmap))
    if file.collapses_spaces:
        # spaces alone: `Strip` would take every kind of white space
        steps.append(normalizers.Replace(Regex("^ +| +$"), ""))
        steps.append(normalizers.Replace(Regex(" {2,}"), " "))
    if file.dummy_prefix:
        steps.append(normalizers.Prepend(SPACE))
    return [*steps, normalizers.Replace(" ", SPACE)]


def _piece(data: bytes) -> Piece:
    return _usual_piece(data) or _any_piece(data)


def _usual_piece(data: bytes) -> Piece | None:
    """A piece as sentencepiece writes nearly all: text, score and, if not normal, its kind.

    A file has 65,000 of them, and a start waits for it.
    """
    end = 2 + data[1] if len(data) > 1 else 0
    rest = len(data) - end
    if data[:1] != TEXT or end > ONE_BYTE or rest not in (5, 7) or data[end] != SCORE:
        return None
    if rest == 7 and (data[end + 5] != KIND or data[end + 6] > ONE_BYTE):
        return None
    (score,) = FLOAT.unpack_from(data, end + 1)
    return Piece(data[2:end].decode(), score, data[end + 6] if rest == 7 else NORMAL)


def _any_piece(data: bytes) -> Piece:
    fields = _by_number(data)
    (score,) = struct.unpack("<f", fields[2][-1]) if fields[2] else (0.0,)
    return Piece(fields[1][-1].decode(), score, fields[3][-1] if fields[3] else NORMAL)


def _by_number(data: bytes) -> "defaultdict[int, list]":  # type: ignore[type-arg]
    fields = defaultdict(list)
    for number, value in _fields(data):
        fields[number].append(value)
    return fields


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(field number, value) of one message: an int for a varint, bytes for all else."""
    position, end = 0, len(data)
    while position < end:
        key = data[position]
        if key > ONE_BYTE:
            key, position = _varint(data, position)
        else:
            position += 1
        kind = key & 7
        if kind == 0:
            value, position = _varint(data, position)
            yield key >> 3, value
            continue
        if kind == 2 and position < end and data[position] <= ONE_BYTE:
            length, position = data[position], position + 1
        elif kind == 2:
            length, position = _varint(data, position)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise ValueError(f"not a protocol buffer: wire type {kind}")
        if position + length > end:
            raise ValueError("the file is cut short")
        yield key >> 3, data[position : position + length]
        position += length


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if position >= len(data):
            raise ValueError("the file is cut short")
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position
