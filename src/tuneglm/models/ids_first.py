"""The ordinary call of a tokenizer, from the library beneath where ids alone are asked for.

A fast tokenizer also finds offsets and words, which nearly no call reads, and
takes several times as long for it. Here the ids come first, and the rest when it
is asked for.
"""

import functools
import re
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from transformers import BatchEncoding, PreTrainedTokenizerFast
from transformers.tokenization_utils_base import TruncationStrategy
from transformers.utils import PaddingStrategy

# options of a call that ask for what only the fast tokenizer itself can tell
MORE_THAN_IDS = (
    *("text_pair", "stride", "is_split_into_words", "return_token_type_ids"),
    *("return_overflowing_tokens", "return_special_tokens_mask", "return_offsets_mapping"),
    *("return_length", "sanitize_control_tokens"),
)


class LazyBatchEncoding(BatchEncoding):
    """Ids now; what else a fast tokenizer knows of a text (offsets, words) when it is asked for."""

    def __init__(
        self, data: dict[str, Any], tensors: Any, encode: Callable[[], BatchEncoding]
    ) -> None:
        self._encode = encode
        self._made: Any = None
        super().__init__(data, tensor_type=tensors, n_sequences=1)

    @property
    def _encodings(self) -> Any:  # type: ignore[override]
        if self._made is None and "_encode" in self.__dict__:
            self._made = self._encode().encodings
        return self._made

    @_encodings.setter
    def _encodings(self, encodings: Any) -> None:
        self._made = encodings

    @property
    def is_fast(self) -> bool:
        """Whether it knows more than ids; it does."""
        return True


class IdsFirstTokenizer(PreTrainedTokenizerFast):
    """A fast tokenizer that has a faster way to ids alone.

    specials  the format's tokens
    single    where they stand around one text, `$A`
    """

    specials: ClassVar[tuple[str, ...]]
    single: ClassVar[str]

    @abstractmethod
    def encode_bulk(self, texts: Sequence[str]) -> list[list[int]]:
        """Texts → ids without specials; a special token's text stays text."""

    @abstractmethod
    def encodes_by_itself(self) -> bool:
        """Whether `encode_bulk` would come back to the ordinary call."""

    def _encode_plus(self, text: Any, *args: Any, **options: Any) -> BatchEncoding:  # type: ignore[override]
        """As in transformers; where ids alone are asked for, several times as fast."""

        def slowly(**other: Any) -> BatchEncoding:
            encoded: BatchEncoding = super(IdsFirstTokenizer, self)._encode_plus(
                text, *args, **{**options, **other}
            )
            return encoded

        if args or not self._needs_ids_alone(text, options):
            return slowly()
        texts = [text] if isinstance(text, str) else text
        rows = self._rows(texts, options)
        padding = options.get("padding_strategy", PaddingStrategy.DO_NOT_PAD)
        tensors = options.get("return_tensors")
        single = isinstance(text, str) and tensors is None
        if padding is PaddingStrategy.DO_NOT_PAD and tensors is None:
            data: Any = {"input_ids": rows}
            if options.get("return_attention_mask", True) is not False:
                data["attention_mask"] = [[1] * len(row) for row in rows]
            if single:
                data = {name: values[0] for name, values in data.items()}
        else:
            data = self.pad(
                {"input_ids": rows[0] if single else rows},  # type: ignore[arg-type]
                padding=padding,
                max_length=options.get("max_length"),
                pad_to_multiple_of=options.get("pad_to_multiple_of"),
                padding_side=options.get("padding_side"),
                return_attention_mask=options.get("return_attention_mask"),
                return_tensors=tensors,
            ).data
        return LazyBatchEncoding(data, None, lambda: slowly(return_tensors=None))

    def _rows(self, texts: list[str], options: Mapping[str, Any]) -> list[list[int]]:
        """Ids of each text, cut and with the format's tokens as asked for."""
        rows = self.encode_bulk(texts)
        before, after = (
            self._surroundings() if options.get("add_special_tokens", True) else ([], [])
        )
        cuts = options.get("truncation_strategy", TruncationStrategy.DO_NOT_TRUNCATE)
        limit = options.get("max_length")
        if cuts is not TruncationStrategy.DO_NOT_TRUNCATE and limit is not None:
            room = max(0, limit - len(before) - len(after))
            keeps_end = self.truncation_side == "left"
            rows = [row[max(0, len(row) - room) :] if keeps_end else row[:room] for row in rows]
        return [before + row + after for row in rows] if before or after else rows

    def _surroundings(self) -> tuple[list[int], list[int]]:
        """Ids of the format's tokens before and after one text."""
        before, _, after = self.single.partition("$A")
        ids = super()._convert_token_to_id_with_added_voc
        return [ids(name) for name in before.split()], [ids(name) for name in after.split()]

    def _needs_ids_alone(self, text: Any, options: Mapping[str, Any]) -> bool:
        """Whether a call is one that the library beneath answers in full."""
        if self.encodes_by_itself() or any(options.get(name) for name in MORE_THAN_IDS):
            return False
        if options.get("truncation_strategy") is TruncationStrategy.ONLY_SECOND:
            return False
        limit = options.get("max_length")
        if limit is not None and limit <= len(self.specials):
            # where the format's own tokens have no room, the library's rule is not worth a copy
            return False
        texts = [text] if isinstance(text, str) else text
        if not isinstance(texts, list) or not all(isinstance(each, str) for each in texts):
            return False
        plain = options.get("split_special_tokens")
        plain = self.split_special_tokens if plain is None else plain
        return plain or not any(self._special_text.search(each) for each in texts)

    @functools.cached_property
    def _special_text(self) -> "re.Pattern[str]":
        return re.compile("|".join(map(re.escape, self.added_tokens_encoder)))
