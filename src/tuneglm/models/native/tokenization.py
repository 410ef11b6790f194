"""The tokenizer of a model that transformers knows, and prompts that no message can forge."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from tuneglm.errors import ModelError

SENTINEL = "\U000f0002"  # a private character: no text that people write has it


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The fast tokenizer of a folder; code in the folder is never run. Raises ModelError."""
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = (str(error).strip() or repr(error)).splitlines()[0]
        raise ModelError(
            f"transformers cannot load the tokenizer in `{folder}`: {reason}",
            "the folder needs tokenizer.json and tokenizer_config.json; download them again",
        ) from None
    if not tokenizer.is_fast:
        raise ModelError(
            f"The tokenizer in `{folder}` has no fast form.",
            "download the folder again, with its tokenizer.json",
        )
    loaded: PreTrainedTokenizerBase = tokenizer
    return loaded


@dataclass(frozen=True)
class Guard:
    """Breaks the text of special tokens in messages, with a character that is taken out again."""

    specials: re.Pattern[str]
    sentinel: str = SENTINEL

    @classmethod
    def of(cls, tokenizer: Any) -> "Guard":
        """For all special tokens of a tokenizer."""
        return cls(specials_of(tokenizer))

    def apply(self, value: Any) -> Any:
        """The same text, list or mapping with every special token's text broken."""
        if isinstance(value, str):
            clean = value.replace(self.sentinel, "")
            return self.specials.sub(lambda match: self._broken(match.group()), clean)
        if isinstance(value, Mapping):
            return {self.apply(key): self.apply(each) for key, each in value.items()}
        if isinstance(value, Sequence):
            return [self.apply(each) for each in value]
        return value

    def _broken(self, name: str) -> str:
        return name[0] + self.sentinel + name[1:]


@dataclass(frozen=True)
class Text:
    """A prompt as the template wrote it from guarded messages."""

    guarded: str
    sentinel: str = SENTINEL

    @property
    def is_ordinary(self) -> bool:
        """Whether no message held the text of a special token."""
        return self.sentinel not in self.guarded

    def clean_span(self, span: tuple[int, int]) -> tuple[int, int]:
        """A place in the guarded text → in the one that the model reads."""
        if self.is_ordinary:
            return span
        start, end = (at - self.guarded.count(self.sentinel, 0, at) for at in span)
        return start, end


@dataclass(frozen=True)
class Tokens:
    """Ids, and where in the text each begins."""

    ids: list[int]
    starts: list[int]


def specials_of(tokenizer: Any) -> re.Pattern[str]:
    """What a tokenizer finds in a text as special tokens, longer ones first."""
    added = tokenizer.added_tokens_decoder.values()
    names = {str(token) for token in added if token.special and str(token).strip()}
    longest_first = sorted(names, key=lambda name: (-len(name), name))
    return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")


def encode_texts(tokenizer: Any, texts: Sequence[Text]) -> list[Tokens]:
    """Prompts → ids, the special tokens being those that the template wrote."""
    ordinary = [text.guarded for text in texts if text.is_ordinary]
    encoded = iter(_encode(tokenizer, ordinary, split_special_tokens=False))
    specials = specials_of(tokenizer)
    return [
        next(encoded) if text.is_ordinary else _encode_guarded(tokenizer, text, specials)
        for text in texts
    ]


def _encode_guarded(tokenizer: Any, text: Text, specials: re.Pattern[str]) -> Tokens:
    """Piece by piece: between the template's special tokens everything is plain text."""
    ids: list[int] = []
    starts: list[int] = []
    position = 0
    pieces = re.split(f"({specials.pattern})", text.guarded)
    for number, guarded in enumerate(pieces):
        piece = guarded.replace(text.sentinel, "")
        is_special = number % 2 == 1
        (tokens,) = _encode(tokenizer, [piece], split_special_tokens=not is_special)
        ids += tokens.ids
        starts += [position + start for start in tokens.starts]
        position += len(piece)
    return Tokens(ids, starts)


def _encode(tokenizer: Any, texts: list[str], *, split_special_tokens: bool) -> list[Tokens]:
    if not texts:
        return []
    batch = tokenizer(
        texts,
        add_special_tokens=False,
        split_special_tokens=split_special_tokens,
        return_offsets_mapping=True,
        return_attention_mask=False,
    )
    pairs = zip(batch["input_ids"], batch["offset_mapping"], strict=True)
    return [Tokens(ids, _starts(offsets)) for ids, offsets in pairs]


def _starts(offsets: Sequence[tuple[int, int]]) -> list[int]:
    """Where each token begins; byte-level offsets leave out the spaces at a token's front."""
    starts, end = [], 0
    for first, last in offsets:
        starts.append(min(first, end))
        end = last
    return starts
