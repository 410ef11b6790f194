"""ChatGLM-6B's tokenizer: a sentencepiece unigram model, whose pieces hold the specials.

Line ends, tabs and runs of spaces, which sentencepiece would lose, are written
as pieces of their own before encoding (`<n>`, `<|tab|>`, `<|blank_5|>`) and read
back when decoding.
"""

import re
from pathlib import Path

import sentencepiece
from tokenizers import Tokenizer, decoders, normalizers

from tuneglm.models.chatglm.prompt import TEMPLATE, render
from tuneglm.models.sentencepiece_model import UNIGRAM, SentencePieceFile, build_unigram
from tuneglm.models.tokenization import BulkEncoder, GlmTokenizerFast, threads

LINE_END, TAB = "<n>", "<|tab|>"
LONGEST_BLANK = 80
_SPACES = re.compile(r"\n|\t|  +")


class ChatGLMTokenizerFast(GlmTokenizerFast):
    """The ids of the published class, in batches; see `GlmTokenizerFast`."""

    family = "chatglm"
    file_name = "ice_text.model"
    specials = ("[MASK]", "[gMASK]", "[sMASK]", "<sop>", "<eop>", "<pad>", "<s>", "</s>")
    single = "$A [gMASK] <sop>"
    pair = "$A [gMASK] <sop> $B <eop>"
    eos_name = "<eop>"
    pad_name = "<pad>"
    unk_name = "<unk>"
    template = TEMPLATE
    reads_special_text = False
    cleans_up_spaces = True
    render = staticmethod(render)

    @staticmethod
    def build(published: bytes) -> Tokenizer:
        """See `GlmTokenizerFast.build`."""
        tokenizer = build_unigram(SentencePieceFile.parse(published, UNIGRAM))
        spaces = ("\n", "\t", *(" " * count for count in range(LONGEST_BLANK, 1, -1)))
        written = dict(zip(spaces, written_pieces(), strict=True))
        tokenizer.normalizer = normalizers.Sequence(
            [normalizers.Replace(space, name) for space, name in written.items()]
            + [tokenizer.normalizer]
        )
        tokenizer.decoder = decoders.Sequence(
            [tokenizer.decoder] + [decoders.Replace(name, space) for space, name in written.items()]
        )
        return tokenizer

    @staticmethod
    def bulk_encoder(published: bytes) -> BulkEncoder:
        """See `GlmTokenizerFast.bulk_encoder`."""
        processor = sentencepiece.SentencePieceProcessor(model_proto=published)

        def encode(texts: list[str]) -> list[list[int]]:
            written = [_SPACES.sub(write_spaces, text) for text in texts]
            ids: list[list[int]] = processor.encode(written, num_threads=threads(texts))
            return ids

        return encode


def written_pieces() -> list[str]:
    """The pieces for a line end, a tab, and 80 to 2 spaces."""
    return [LINE_END, TAB, *(blank(count) for count in range(LONGEST_BLANK, 1, -1))]


def blank(count: int) -> str:
    """The piece that stands for 2 to 80 spaces."""
    return f"<|blank_{count}|>"


def write_spaces(match: "re.Match[str]") -> str:
    """A line end, a tab or a run of spaces → its pieces, the longest first."""
    space = match.group()
    if space in "\n\t":
        return LINE_END if space == "\n" else TAB
    longest, rest = divmod(len(space), LONGEST_BLANK)
    return blank(LONGEST_BLANK) * longest + (blank(rest) if rest > 1 else " " * rest)


def load_tokenizer(folder: Path) -> ChatGLMTokenizerFast:
    """The tokenizer of a folder, published or saved by us; raises ModelError."""
    return ChatGLMTokenizerFast.load(folder)
