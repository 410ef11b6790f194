"""The tokenizer of a model that transformers knows, and prompts that no message can forge."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from tuneglm.errors import ModelError
from tuneglm.models.native.byte_ids import byte_ids_of

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
    """Breaks the text of special tokens in messages, with a character that is taken out again.

    specials  what the tokenizer finds as special tokens
    firsts    the characters with which they begin
    """

    specials: re.Pattern[str]
    firsts: frozenset[str]
    sentinel: str = SENTINEL

    @classmethod
    def of(cls, tokenizer: Any) -> "Guard":
        """For all special tokens of a tokenizer."""
        names = special_names(tokenizer)
        pattern = "|".join(map(re.escape, names)) or r"(?!)"
        return cls(re.compile(pattern), frozenset(name[0] for name in names))

    def apply(self, value: Any) -> Any:
        """The same text, list or mapping with every special token's text broken."""
        if isinstance(value, str):
            clean = self.plain(value)
            return self.specials.sub(lambda match: self._broken(match.group()), clean)
        if isinstance(value, Mapping):
            return {self.apply(key): self.apply(each) for key, each in value.items()}
        if isinstance(value, Sequence):
            return [self.apply(each) for each in value]
        return value

    def concerns(self, text: str) -> bool:
        """Whether a text would be another one afterwards."""
        if self.sentinel in text:
            return True
        # most texts are done with at the search for a character or two
        for first in self.firsts:
            if first in text:
                return self.specials.search(text) is not None
        return False

    def plain(self, guarded: str) -> str:
        """The text that the model reads."""
        return guarded.replace(self.sentinel, "") if self.sentinel in guarded else guarded

    def _broken(self, name: str) -> str:
        return name[0] + self.sentinel + name[1:]


@dataclass(frozen=True, slots=True)
class Tokens:
    """Ids, and where in the text each begins: counted in characters, or in bytes."""

    ids: list[int]
    starts: list[int]
    in_bytes: bool

    def size(self, text: str) -> int:
        """How much of the text before a token a part of it is."""
        return len(text.encode()) if self.in_bytes and not text.isascii() else len(text)


def special_names(tokenizer: Any) -> list[str]:
    """What a tokenizer finds in a text as special tokens, longer ones first."""
    added = tokenizer.added_tokens_decoder.values()
    names = {str(token) for token in added if token.special and str(token).strip()}
    return sorted(names, key=lambda name: (-len(name), name))


def encode_texts(tokenizer: Any, texts: Sequence[str], guard: Guard) -> list[Tokens]:
    """Prompts as the template wrote them from guarded messages → tokens.

    The special tokens are those that the template wrote.
    """
    ordinary = [text for text in texts if guard.sentinel not in text]
    encoded = iter(_encode(tokenizer, ordinary))
    return [
        _encode_guarded(tokenizer, text, guard) if guard.sentinel in text else next(encoded)
        for text in texts
    ]


def _encode_guarded(tokenizer: Any, text: str, guard: Guard) -> Tokens:
    """Piece by piece: between the template's special tokens everything is plain text."""
    ids: list[int] = []
    starts: list[int] = []
    position = 0
    for number, guarded in enumerate(re.split(f"({guard.specials.pattern})", text)):
        piece = guard.plain(guarded)
        is_special = number % 2 == 1
        (tokens,) = _with_offsets(tokenizer, [piece], split_special_tokens=not is_special)
        ids += tokens.ids
        starts += [position + start for start in tokens.starts]
        position += len(piece)
    return Tokens(ids, starts, in_bytes=False)


def _encode(tokenizer: Any, texts: list[str]) -> list[Tokens]:
    """By the library beneath where the ids say how many bytes each stands for."""
    known = byte_ids_of(tokenizer)
    if known.sizes is None or not texts:
        return _with_offsets(tokenizer, texts)
    encoded = []
    for text, ids in zip(texts, known.ids(tokenizer, texts), strict=True):
        starts = list(accumulate(map(known.sizes.__getitem__, ids), initial=0))
        tokens = Tokens(ids, starts[:-1], in_bytes=True)
        # a special token may take the spaces beside it
        is_all = starts[-1] == tokens.size(text)
        encoded.append(tokens if is_all else _with_offsets(tokenizer, [text])[0])
    return encoded


def _with_offsets(
    tokenizer: Any, texts: list[str], *, split_special_tokens: bool = False
) -> list[Tokens]:
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
    return [Tokens(ids, _starts(offsets), in_bytes=False) for ids, offsets in pairs]


def _starts(offsets: Sequence[tuple[int, int]]) -> list[int]:
    """Where each token begins; byte-level offsets leave out the spaces at a token's front."""
    starts, end = [], 0
    for first, last in offsets:
        starts.append(min(first, end))
        end = last
    return starts
