"""The demo model's own sentencepiece vocabulary, and ChatGLM3's prompt over it."""

import io
import re
from typing import Any

import sentencepiece

from tuneglm.demo.curriculum import base_rows
from tuneglm.demo.names import common_hanzi
from tuneglm.demo.small_talk import REMARKS_ZH
from tuneglm.demo.tables import all_topics

Row = dict[str, Any]

PIECES = 5096
SPECIALS = (
    "[MASK]",
    "[gMASK]",
    "[sMASK]",
    "sop",
    "eop",
    "<|system|>",
    "<|user|>",
    "<|assistant|>",
    "<|observation|>",
)
PUNCTUATION = "，。！？、：；“”‘’《》（）·…—～¥×÷"
PRINTABLE = "".join(map(chr, range(33, 127)))
# sentencepiece learns no merge across this character, which occurs in no text
DELIMITER = "\u0007"


def train_vocabulary() -> bytes:
    """A sentencepiece BPE model: Chinese characters stand alone, English is cut in short pieces."""
    known = set(common_hanzi() + PUNCTUATION + PRINTABLE + " " + _hanzi_of_facts())
    texts = [text for row in base_rows() for pair in _pairs(row) for text in pair]
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
        model_type="bpe",
        vocab_size=PIECES,
        required_chars="".join(sorted(known - {" "})),
        character_coverage=1.0,
        byte_fallback=True,
        split_digits=True,
        add_dummy_prefix=True,
        remove_extra_whitespaces=False,
        normalization_rule_name="identity",
        unk_id=0,
        bos_id=1,
        eos_id=2,
        pad_id=-1,
        max_sentencepiece_length=8,
        pretokenization_delimiter=DELIMITER,
        num_threads=1,
        minloglevel=1,
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


class PromptEncoder:
    """ChatGLM3's prompt: ids of messages and which of them are trained."""

    def __init__(self, model: bytes) -> None:
        """Read the vocabulary from the bytes of a sentencepiece model."""
        self.pieces = sentencepiece.SentencePieceProcessor(model_proto=model)
        size = self.pieces.vocab_size()
        self.specials = {name: size + place for place, name in enumerate(SPECIALS)}
        self.newline = self.pieces.encode("\n")

    def example(self, row: Row) -> tuple[list[int], list[bool]]:
        """The ids of a row and which are trained: the answers and the role tokens that end them."""
        ids, trained = self._rendered(row)
        answer = self._turn("assistant", row["output"])
        ids, trained = ids + answer, trained + [False] + [True] * (len(answer) - 1)
        return [*ids, self.specials["<|user|>"]], [*trained, True]

    def _rendered(self, row: Row) -> tuple[list[int], list[bool]]:
        ids = [self.specials["[gMASK]"], self.specials["sop"]]
        if "system" in row:
            ids += self._turn("system", row["system"])
        trained = [False] * len(ids)
        for question, answer in row.get("history", ()):
            asked, answered = self._turn("user", question), self._turn("assistant", answer)
            ids += asked + answered
            # the role token after an answer is its end, so it is trained too
            trained += [trained[-1]] + [False] * len(asked) + [True] * (len(answered) - 1)
        asked = self._turn("user", row["instruction"])
        ids, trained = ids + asked, trained + [trained[-1]] + [False] * (len(asked) - 1)
        return ids, trained

    def _turn(self, role: str, text: str) -> list[int]:
        return [self.specials[f"<|{role}|>"], *self.newline, *self.pieces.encode(text)]
