"""`chat` and `stream_chat` as the official models have them, for code that was written for those.

A history is a list of pairs (question, answer) where the family's prompt is of rounds, and
of messages {"role": …, "content": …} where it is of turns; either is taken.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

import torch

from tuneglm.config import ChatConfig, chat_config
from tuneglm.errors import ConfigError
from tuneglm.generate import ChatModel
from tuneglm.models.float16 import compute_in_float16
from tuneglm.models.quantization import is_quantized

log = logging.getLogger(__name__)

History = list[Any]
# arguments of the official methods that ask for nothing here
UNUSED = ("logits_processor", "past_key_values", "return_past_key_values", "role")


class Official:
    """Gives a model the methods of the official ones; `generate` is transformers' own."""

    def __init__(self, chat: ChatModel) -> None:
        self._chat = chat
        model = chat.model
        self._half, self._cuda = model.half, model.cuda

    def attach(self) -> None:
        """Put them on the model itself, whose class stays what it is."""
        model = self._chat.model
        model.chat, model.stream_chat = self.chat, self.stream_chat
        model.half, model.cuda = self.half, self.cuda

    def half(self) -> Any:
        """float16 on a GPU, in such a way that it does not overflow; else nothing changes."""
        model = self._chat.model
        if model.device.type != "cuda":
            log.warning("half() is passed over: a processor has its own best type.")
        elif not is_quantized(model) and model.dtype != torch.float16:
            self._half()
            compute_in_float16(model)
        return model

    def cuda(self, device: Any = None) -> Any:
        """To a GPU; where there is none the model stays where it is, and that is said."""
        if not torch.cuda.is_available():
            log.warning("cuda() is passed over: no GPU is here, and the processor answers.")
        elif not is_quantized(self._chat.model):
            self._cuda(device)
        return self._chat.model

    def chat(
        self, tokenizer: Any, query: str, history: Sequence[Any] | None = None, **drawing: Any
    ) -> tuple[str, History]:
        """(answer, the history with it)."""
        conversation = self._conversation(query, history)
        answer = self._chat.reply(conversation, self._drawing(conversation, drawing)).strip()
        return answer, self._history(query, answer, history)

    def stream_chat(
        self, tokenizer: Any, query: str, history: Sequence[Any] | None = None, **drawing: Any
    ) -> Iterator[tuple[Any, ...]]:
        """(answer so far, the history with it) as it grows; a third value where
        `return_past_key_values` asks for it, which is None: nothing has to be handed back."""
        conversation = self._conversation(query, history)
        config, answer = self._drawing(conversation, drawing), ""
        more = (None,) if drawing.get("return_past_key_values") else ()
        with closing(self._chat.stream(conversation, config)) as pieces:
            for piece in pieces:
                answer += piece
                yield (answer, self._history(query, answer, history), *more)

    def _drawing(
        self, conversation: Sequence[Mapping[str, Any]], given: Mapping[str, Any]
    ) -> ChatConfig:
        """Their arguments, with their defaults; `max_length` counts the prompt too."""
        known = {"max_length", "max_new_tokens", "num_beams", "do_sample", "top_p", "temperature"}
        unknown = sorted(set(given) - known - {*UNUSED, "repetition_penalty"})
        if unknown or given.get("num_beams", 1) != 1:
            raise ConfigError(
                f"`chat` has no `{unknown[0] if unknown else 'num_beams'}` here.",
                f"known: {', '.join(sorted(known))}; model.generate takes all of transformers'",
            )
        longest = given.get("max_new_tokens")
        if longest is None:
            limit = given.get("max_length", 2048)
            longest = max(1, limit - len(self._chat.prompt(conversation)))
        samples = given.get("do_sample", True)
        return chat_config(
            {
                "max_new_tokens": longest,
                "temperature": given.get("temperature", 0.95) if samples else 0,
                "top_p": given.get("top_p", 0.7),
                "repetition_penalty": given.get("repetition_penalty", 1.0),
            }
        )

    def _conversation(self, query: str, history: Sequence[Any] | None) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = []
        for entry in history or ():
            if isinstance(entry, Mapping):
                messages.append(dict(entry))
                continue
            question, answer = entry
            messages.append({"role": "user", "content": question})
            messages.append({"role": "assistant", "content": answer})
        return [*messages, {"role": "user", "content": query}]

    def _history(self, query: str, answer: str, history: Sequence[Any] | None) -> History:
        before = list(history or ())
        in_pairs = (
            not isinstance(before[0], Mapping)
            if before
            else self._chat.family.answers_per_row == "one"
        )
        if in_pairs:
            return [*before, (query, answer)]
        asked = {"role": "user", "content": query}
        return [*before, asked, {"role": "assistant", "metadata": "", "content": answer}]
