"""ChatGLM2's tokenizer: sentencepiece BPE, and specials behind its pieces."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import sentencepiece
from tokenizers import Tokenizer

from tuneglm.models.chatglm2.prompt import TEMPLATE, render
from tuneglm.models.sentencepiece_model import BYTE_PAIRS, SPACE, SentencePieceFile, build_bpe
from tuneglm.models.tokenization import BulkEncoder, GlmTokenizerFast, threads

# The published class calls these two tokens by words that a text may hold. In
# tokenizer.json, where plain transformers looks for the names of tokens in every
# text, they go by other names; our class answers to the published ones.
PUBLISHED_NAMES: Mapping[str, str] = {
    "sop": "<sop>",
    "eop": "<eop>",
    "<sop>": "sop",
    "<eop>": "eop",
}


class ChatGLM2TokenizerFast(GlmTokenizerFast):
    """The ids of the published class, in batches; see `GlmTokenizerFast`."""

    family = "chatglm2"
    specials: ClassVar[tuple[str, ...]] = ("[MASK]", "[gMASK]", "[sMASK]", "<sop>", "<eop>")
    pair = "[gMASK] <sop> $A $B </s>"
    eos_name = "</s>"
    pad_name = "<unk>"
    unk_name = "<unk>"
    template = TEMPLATE
    reads_special_text = False
    render = staticmethod(render)

    @staticmethod
    def build(published: bytes) -> Tokenizer:
        """See `GlmTokenizerFast.build`."""
        return build_bpe(SentencePieceFile.parse(published, BYTE_PAIRS))

    @staticmethod
    def bulk_encoder(published: bytes) -> BulkEncoder:
        """See `GlmTokenizerFast.bulk_encoder`."""
        processor = sentencepiece.SentencePieceProcessor(model_proto=published)

        def encode(texts: list[str]) -> list[list[int]]:
            ids: list[list[int]] = processor.encode(texts, num_threads=threads(texts))
            return ids

        return encode

    @property
    def vocab_size(self) -> int:
        """Pieces and specials, as the published class counts."""
        return int(super().vocab_size) + len(self.specials)

    @functools.cached_property
    def piece_bytes(self) -> "np.ndarray[Any, Any]":
        """How many bytes of text each id stands for, (vocabulary,)."""
        tokens = self.backend_tokenizer.get_vocab(with_added_tokens=True)
        return np.array([_bytes_of(token) for token in sorted(tokens, key=tokens.__getitem__)])

    @property
    def all_special_ids(self) -> list[int]:
        """Ids of all specials."""
        decoder = self.added_tokens_decoder
        return [index for index, token in decoder.items() if token.special]

    def _convert_token_to_id_with_added_voc(self, token: str) -> int:
        name = PUBLISHED_NAMES.get(token, token)
        index: int = super()._convert_token_to_id_with_added_voc(name)
        return index

    def convert_ids_to_tokens(self, ids: Any, skip_special_tokens: bool = False) -> Any:
        """As in transformers, with the published names of the specials."""
        tokens = super().convert_ids_to_tokens(ids, skip_special_tokens)
        if isinstance(tokens, str):
            return PUBLISHED_NAMES.get(tokens, tokens)
        return [PUBLISHED_NAMES.get(token, token) for token in tokens]


def load_tokenizer(folder: Path) -> ChatGLM2TokenizerFast:
    """The tokenizer of a folder, published or saved by us; raises ModelError."""
    return ChatGLM2TokenizerFast.load(folder)


def _bytes_of(token: str) -> int:
    is_byte = len(token) == 6 and token.startswith("<0x") and token.endswith(">")
    return 1 if is_byte else len(token.replace(SPACE, " ").encode())
