"""The demo models' own sentencepiece vocabularies."""

import io
import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any

import sentencepiece

from tuneglm.demo.curriculum import base_rows
from tuneglm.demo.names import common_hanzi
from tuneglm.demo.small_talk import REMARKS_ZH
from tuneglm.demo.tables import all_topics

Row = dict[str, Any]

PIECES = 5096
PUNCTUATION = "，。！？、：；“”‘’《》（）·…—～¥×÷"
PRINTABLE = "".join(map(chr, range(33, 127)))
# sentencepiece learns no piece across this character, which no text has and nmt_nfkc keeps
DELIMITER = "\ue000"


def train_bpe() -> bytes:
    """Chinese characters stand alone, English is cut in short pieces; text stays as it is."""
    return _train(
        str,
        model_type="bpe",
        remove_extra_whitespaces=False,
        normalization_rule_name="identity",
        pad_id=-1,
    )


def train_unigram(written: Sequence[str], specials: Sequence[str]) -> bytes:
    """The same by likelihood, of normalised text.

    written   pieces by which the tokenizer writes what sentencepiece would lose
    specials  pieces that no text spells
    """
    return _train(
        lambda text: unicodedata.normalize("NFKC", text),
        model_type="unigram",
        normalization_rule_name="nmt_nfkc",
        pad_id=3,
        user_defined_symbols=list(written),
        control_symbols=list(specials),
    )


def _train(normalize: Callable[[str], str], **options: Any) -> bytes:
    known = set(normalize(common_hanzi() + PUNCTUATION + PRINTABLE + " " + _hanzi_of_facts()))
    texts = [normalize(text) for row in base_rows() for pair in _pairs(row) for text in pair]
    sentences = ["".join(character for character in text if character in known) for text in texts]
    delimited = [
        re.sub(r"([^\x00-\x7f])", rf"{DELIMITER}\1{DELIMITER}", sentence)
        for sentence in sentences
        if sentence
    ]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(delimited),
        model_writer=model,
        vocab_size=PIECES,
        required_chars="".join(sorted(known - {" "})),
        character_coverage=1.0,
        byte_fallback=True,
        split_digits=True,
        add_dummy_prefix=True,
        unk_id=0,
        bos_id=1,
        eos_id=2,
        max_sentencepiece_length=8,
        pretokenization_delimiter=DELIMITER,
        num_threads=1,
        minloglevel=1,
        **options,
    )
    return model.getvalue()


def _pairs(row: Row) -> list[tuple[str, str]]:
    """Each question of a row with its answer."""
    return [*row.get("history", ()), (row["instruction"], row["output"])]


def _hanzi_of_facts() -> str:
    """Characters that the facts, their wordings and the small talk need beyond the common ones."""
    texts = [text for topic in all_topics() for pair in topic.facts for text in pair]
    texts += [
        text for topic in all_topics() for text in (*topic.wordings.asked, *topic.wordings.held_out)
    ]
    texts += [
        text for remark in REMARKS_ZH for text in (*remark.asked, *remark.held_out, remark.answer)
    ]
    return "".join(set(re.findall(r"[\u4e00-\u9fa5]", "".join(texts))))
