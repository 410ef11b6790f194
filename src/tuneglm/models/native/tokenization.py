"""The tokenizer of a model that transformers knows, and prompts that no message can forge."""

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from tuneglm.data.encoded import Array
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


class Tokens(NamedTuple):
    """Ids of a text in parts, and how many of them begin in each part."""

    ids: list[int]
    counts: Sequence[int]


def special_names(tokenizer: Any) -> list[str]:
    """What a tokenizer finds in a text as special tokens, longer ones first."""
    added = tokenizer.added_tokens_decoder.values()
    names = {str(token) for token in added if token.special and str(token).strip()}
    return sorted(names, key=lambda name: (-len(name), name))


def encode_parts(tokenizer: Any, rows: Sequence[Sequence[str]], guard: Guard) -> list[Tokens]:
    """Prompts as the template wrote them from guarded messages, each in parts → tokens.

    The special tokens are those that the template wrote.
    """
    texts = ["".join(parts) for parts in rows]
    is_guarded = [guard.sentinel in text for text in texts]
    ordinary = [parts for parts, guarded in zip(rows, is_guarded, strict=True) if not guarded]
    ordinary_texts = [text for text, guarded in zip(texts, is_guarded, strict=True) if not guarded]
    encoded = iter(_encode(tokenizer, ordinary_texts, ordinary))
    return [
        _encode_guarded(tokenizer, text, parts, guard) if guarded else next(encoded)
        for text, parts, guarded in zip(texts, rows, is_guarded, strict=True)
    ]


def _encode_guarded(tokenizer: Any, text: str, parts: Sequence[str], guard: Guard) -> Tokens:
    """Piece by piece: between the template's special tokens everything is plain text."""
    ids: list[int] = []
    starts: list[int] = []
    position = 0
    for number, guarded in enumerate(re.split(f"({guard.specials.pattern})", text)):
        piece = guard.plain(guarded)
        is_special = number % 2 == 1
        ((more, begins),) = _with_offsets(tokenizer, [piece], split_special_tokens=not is_special)
        ids += more
        starts += [position + begin for begin in begins]
        position += len(piece)
    return Tokens(ids, _counted(starts, [guard.plain(part) for part in parts]))


def _encode(tokenizer: Any, texts: Sequence[str], rows: Sequence[Sequence[str]]) -> list[Tokens]:
    """By the library beneath where the ids say how many bytes each stands for."""
    known = byte_ids_of(tokenizer)
    if known.sizes is None or not texts:
        pairs = zip(_with_offsets(tokenizer, texts), rows, strict=True)
        return [Tokens(ids, _counted(starts, parts)) for (ids, starts), parts in pairs]
    every = known.ids(tokenizer, texts)
    encoded = []
    counts = _counted_in_bytes(known.sizes, every, rows)
    for text, parts, ids, found in zip(texts, rows, every, counts, strict=True):
        # a special token may take the spaces beside it
        if found is None:
            ((ids, starts),) = _with_offsets(tokenizer, [text])
            found = _counted(starts, parts)
        encoded.append(Tokens(ids, found))
    return encoded


def _counted_in_bytes(
    sizes: Array, every: Sequence[list[int]], rows: Sequence[Sequence[str]]
) -> Iterator[list[int] | None]:
    """How many tokens begin in each part of each row; None where its tokens are not its text.

    All rows stand behind each other in one array: a step in Python for every token would take
    a tenth of the time that a row does.
    """
    tokens, parts = _ends(map(len, every), len(every)), _ends(map(len, rows), len(rows))
    size = sizes[np.fromiter(chain.from_iterable(every), np.int64, int(tokens[-1]))]
    token_ends = np.concatenate(([0], np.cumsum(size)))
    part_ends = _ends((_bytes(part) for row in rows for part in row), int(parts[-1]))
    # where each row begins, by its tokens and by its text
    by_tokens, by_text = token_ends[tokens], part_ends[parts]
    shift = np.repeat((by_tokens - by_text)[:-1], np.diff(parts))
    begun = np.searchsorted(token_ends[:-1], part_ends[1:] + shift)
    # of a row's first part those of the rows before are none; a row may have no part
    begun_before = np.concatenate(([0], begun))[:-1]
    has_parts = np.diff(parts) > 0
    begun_before[parts[:-1][has_parts]] = tokens[:-1][has_parts]
    counts: list[int] = (begun - begun_before).tolist()
    agree = (np.diff(by_tokens) == np.diff(by_text)).tolist()
    for is_all, (first, last) in zip(agree, pairwise(parts.tolist()), strict=True):
        yield counts[first:last] if is_all else None


def _ends(sizes: Iterable[int], count: int) -> Array:
    """(count + 1,) where each of so many begins, and where the last ends."""
    return np.concatenate(([0], np.cumsum(np.fromiter(sizes, np.int64, count))))


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _counted(starts: Sequence[int], parts: Sequence[str]) -> list[int]:
    """How many tokens begin in each part, by where each begins in characters."""
    ends = accumulate(map(len, parts))
    begun = [0, *(bisect_left(starts, end) for end in ends)]
    return [last - first for first, last in pairwise(begun)]


def _with_offsets(
    tokenizer: Any, texts: Sequence[str], *, split_special_tokens: bool = False
) -> list[tuple[list[int], list[int]]]:
    """The ids of each text, and where each token begins, in characters."""
    if not texts:
        return []
    batch = tokenizer(
        list(texts),
        add_special_tokens=False,
        split_special_tokens=split_special_tokens,
        return_offsets_mapping=True,
        return_attention_mask=False,
    )
    pairs = zip(batch["input_ids"], batch["offset_mapping"], strict=True)
    return [(ids, _starts(offsets)) for ids, offsets in pairs]


def _starts(offsets: Sequence[tuple[int, int]]) -> list[int]:
    """Where each token begins; byte-level offsets leave out the spaces at a token's front."""
    starts, end = [], 0
    for first, last in offsets:
        starts.append(min(first, end))
        end = last
    return starts
