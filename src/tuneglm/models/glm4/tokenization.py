"""GLM-4's tokenizer: tiktoken's byte-level BPE, and specials behind its ranks."""

import base64
import binascii
from itertools import groupby
from pathlib import Path
from typing import Any

import tiktoken
from tokenizers import Regex, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE

from tuneglm.models.glm4.prompt import TEMPLATE, render
from tuneglm.models.prompt import ROLE_TOKENS
from tuneglm.models.tokenization import BulkEncoder, GlmTokenizerFast
from tuneglm.models.word_ids import WordIds

EOS = "<|endoftext|>"
MEDIA = ("<|begin_of_image|>", "<|end_of_image|>", "<|begin_of_video|>", "<|end_of_video|>")
# words with their contraction, letters, up to three digits, punctuation, line ends, spaces
WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


class Glm4TokenizerFast(GlmTokenizerFast):
    """The ids of the published class, in batches; see `GlmTokenizerFast`."""

    family = "glm4"
    specials = (
        *(EOS, "[MASK]", "[gMASK]", "[sMASK]", "<sop>", "<eop>"),
        *ROLE_TOKENS.values(),
        *MEDIA,
    )
    pair = f"[gMASK] <sop> $A $B {EOS}"
    eos_name = EOS
    pad_name = EOS
    unk_name = None
    template = TEMPLATE
    reads_special_text = True
    render = staticmethod(render)

    @staticmethod
    def build(published: bytes) -> Tokenizer:
        """See `GlmTokenizerFast.build`."""
        ranks = parse_ranks(published)
        characters = byte_characters()
        names = {token: "".join(characters[byte] for byte in token) for token in ranks}
        pairs = [(names[left], names[right]) for left, right in merges(ranks)]
        vocabulary = {names[token]: rank for token, rank in ranks.items()}
        tokenizer = Tokenizer(BPE(vocabulary, pairs, ignore_merges=True))
        split = pre_tokenizers.Split(Regex(WORDS), behavior="isolated")
        to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, to_bytes])
        tokenizer.decoder = decoders.ByteLevel()
        return tokenizer

    @staticmethod
    def bulk_encoder(published: bytes) -> BulkEncoder:
        """See `GlmTokenizerFast.bulk_encoder`."""
        ranks = parse_ranks(published)
        encoding = tiktoken.Encoding(
            "glm4", pat_str=WORDS, mergeable_ranks=ranks, special_tokens={}
        )

        return WordIds(encoding, WORDS).ids

    def _decode(  # type: ignore[override]
        self, token_ids: Any, skip_special_tokens: bool = False, **options: Any
    ) -> str:
        """As the published class: a space on either side of a special token that is shown."""
        ids = [token_ids] if isinstance(token_ids, int) else list(token_ids)
        specials = self.added_tokens_decoder
        if skip_special_tokens or specials.keys().isdisjoint(ids):
            return str(super()._decode(ids, skip_special_tokens, **options))
        groups = groupby(enumerate(ids), lambda item: item[0] if item[1] in specials else -1)
        runs = ([token for _, token in group] for _, group in groups)
        return " ".join(str(super(Glm4TokenizerFast, self)._decode(run)) for run in runs)


def load_tokenizer(folder: Path) -> Glm4TokenizerFast:
    """The tokenizer of a folder, published or saved by us; raises ModelError."""
    return Glm4TokenizerFast.load(folder)


def parse_ranks(published: bytes) -> dict[bytes, int]:
    """Lines of `base64 rank` → token → rank; raises ValueError."""
    ranks = {}
    for number, line in enumerate(published.splitlines(), start=1):
        parts = line.split()
        if len(parts) != 2 or not parts[1].isdigit():
            raise ValueError(f"line {number} is not `base64 rank`")
        try:
            ranks[base64.b64decode(parts[0], validate=True)] = int(parts[1])
        except binascii.Error as error:
            raise ValueError(f"line {number} is not base64") from error
    if sorted(ranks.values()) != list(range(len(ranks))) or len(ranks) < 256:
        raise ValueError("its ranks have gaps")
    return ranks


def merges(ranks: dict[bytes, int]) -> list[tuple[bytes, bytes]]:
    """Every way to make a token of two, in tiktoken's order; of one token the longer part first.

    tiktoken takes the leftmost of equals: see `sentencepiece_model.merges`.
    """
    return [
        (token[:cut], token[cut:])
        for token in sorted(ranks, key=ranks.__getitem__)
        for cut in range(len(token) - 1, 0, -1)
        if token[:cut] in ranks and token[cut:] in ranks
    ]


def byte_characters() -> list[str]:
    """The character that byte-level BPE writes for each byte: itself, or the next from U+0100."""
    shown = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    hidden = iter(range(0x100, 0x200))
    return [chr(byte) if byte in shown else chr(next(hidden)) for byte in range(256)]
