"""Our models in lm-evaluation-harness, as `tuneglm`: here, and in its own program.

python -m tuneglm.evaluation.harness run --model tuneglm --model_args path=OUT --tasks …
"""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from lm_eval.api.instance import Instance
from lm_eval.api.model import TemplateLM
from lm_eval.api.registry import register_model
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from tuneglm.errors import ConfigError, UserError
from tuneglm.evaluation.harness_texts import (
    ANSWER_TOKENS,
    CONVERSATION,
    conversation_in,
    cut,
    drawing_of,
)
from tuneglm.evaluation.likelihoods import Found, likelihoods
from tuneglm.generate import ChatModel
from tuneglm.models.prompt import example_of

LONGEST = 2048
USER_ERROR = 2
ARGUMENTS = "known: path, family, dtype, bits, adapters, device, batch_size, max_length"

Request = tuple[Any, list[int], list[int]]  # (texts), ids of the context, of the continuation


@register_model("tuneglm")
class TunedLM(TemplateLM):
    """A ChatModel as the harness asks it; `how` are arguments of `chat_model`.

    A plain text stands behind the tokens with which the family begins one; a chat is rendered as
    training rendered it.
    """

    def __init__(
        self,
        path: str | ChatModel,
        batch_size: int | str = 16,
        max_length: int | None = None,
        max_batch_size: Any = None,
        **how: Any,
    ) -> None:
        super().__init__()
        if isinstance(path, ChatModel) and how:
            raise ConfigError("A model that is loaded already takes no arguments.", ARGUMENTS)
        self.chat = path if isinstance(path, ChatModel) else chat_model(path, **how)
        self.tokenizer: Any = self.chat.tokenizer
        positions = getattr(self.chat.model.config, "max_position_embeddings", None)
        self.max_length = int(max_length or positions or LONGEST)
        self.batch_size = int(batch_size) if str(batch_size).isdecimal() else 16

    @property
    def eot_token_id(self) -> int:
        """Of the tokens that end an answer the first."""
        return self.chat.end_tokens[0]

    @property
    def tokenizer_name(self) -> str:
        """Under which the harness keeps requests."""
        return f"tuneglm {self.chat.family.name}"

    def chat_template(self, chat_template: bool | str = False) -> str | None:
        """Only a name: the family's renderer is no template."""
        return f"tuneglm {self.chat.family.name}" if chat_template else None

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """A conversation as a text that `_encode_pair` and `generate_until` know again."""
        return CONVERSATION + json.dumps(chat_history, ensure_ascii=False) + CONVERSATION

    def tok_encode(
        self, string: str, add_special_tokens: bool | None = None, **_: Any
    ) -> list[int]:
        """The ids of a text alone; with special tokens, as the family begins a text."""
        ids: list[int] = self.tokenizer(string, add_special_tokens=bool(add_special_tokens))[
            "input_ids"
        ]
        return ids

    def loglikelihood_rolling(
        self, requests: list[Instance], disable_tqdm: bool = False
    ) -> list[float]:
        """Log likelihoods of whole texts; longer ones in windows, each token predicted once."""
        found = []
        for request in requests:
            windows = get_rolling_token_windows(
                self.tok_encode(request.args[0]), self.eot_token_id, self.max_length - 8, 1
            )
            parts = [make_disjoint_window(window) for window in windows]
            starts = [self._start(context) for context, _ in parts]
            asked: list[Request] = [
                (None, start, continuation)
                for start, (_, continuation) in zip(starts, parts, strict=True)
            ]
            found.append(sum(value for value, _ in self._loglikelihood_tokens(asked)))
        return found

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """Answers, each cut at the first of the texts at which it is to end."""
        found = [""] * len(requests)
        groups: dict[str, list[int]] = {}
        for place, request in enumerate(requests):
            groups.setdefault(json.dumps(request.args[1], sort_keys=True), []).append(place)
        for places in groups.values():
            settings = requests[places[0]].args[1]
            longest = self.max_length - int(settings.get("max_gen_toks", ANSWER_TOKENS))
            prompts = [self._prompt(requests[place].args[0])[-longest:] for place in places]
            answers = self.chat.padded_answers(prompts, drawing_of(settings), self.batch_size)
            for place, answer in zip(places, answers, strict=True):
                found[place] = cut(answer, settings.get("until") or ())
        return found

    def _start(self, context: list[int]) -> list[int]:
        """A window's context, behind the tokens with which the family begins a text."""
        start = self.tok_encode("", add_special_tokens=True)
        return (start + [each for each in context if each != self.eot_token_id]) or context

    def _prompt(self, text: str) -> list[int]:
        history, prefix = conversation_in(text)
        if history is None:
            return self.tok_encode(text, add_special_tokens=True)
        ids = self.chat.prompt(history)
        return ids + self.tok_encode(prefix) if prefix else ids

    def _encode_pair(self, context: str, continuation: str) -> tuple[list[int], list[int]]:
        """Ids of both, cut where the context's end when both stand together."""
        history, prefix = conversation_in(context)
        if history is not None:
            return self._encode_answer(history, prefix, continuation)
        gap = len(context) - len(context.rstrip())
        if gap:
            context, continuation = context[:-gap], context[-gap:] + continuation
        alone, whole = self.tok_encode(context), self.tok_encode(context + continuation)
        return self.tok_encode(context, add_special_tokens=True), whole[len(alone) :]

    def _encode_answer(
        self, history: Sequence[Mapping[str, Any]], prefix: str, answer: str
    ) -> tuple[list[int], list[int]]:
        """A conversation's prompt, and the ids with which an answer to it begins."""
        prompt = self.chat.prompt(history)
        example = example_of([*history, {"role": "assistant", "content": prefix + answer}], ())
        messages = (*example.messages[:-1], example.messages[-1].with_trained(True))
        (row,) = self.chat.family.render(self.tokenizer, [example.with_messages(messages)])
        ids = row.ids[len(prompt) :]
        while ids and ids[-1] in self.chat.end_tokens:
            ids.pop()
        return prompt, ids

    def _loglikelihood_tokens(
        self, requests: list[Request], disable_tqdm: bool = False, **unused: Any
    ) -> list[Found]:
        asked = [(context, continuation) for _texts, context, continuation in requests]
        return likelihoods(self.chat, asked, self.max_length)


def chat_model(
    path: str,
    family: str | None = None,
    dtype: str | None = None,
    bits: int | None = None,
    adapters: str = "",
    device: str | None = None,
    **others: Any,
) -> ChatModel:
    """As the harness's `--model_args` name it: adapters are separated by `;`."""
    if others:
        raise ConfigError(f"There is no model argument `{next(iter(others))}`.", ARGUMENTS)
    return ChatModel(
        path,
        family=family,
        dtype=dtype,
        bits=bits,  # type: ignore[arg-type]
        adapters=[name for name in adapters.split(";") if name],
        device=device if _is_there(device) else None,
    )


def _is_there(device: str | None) -> bool:
    """The harness's program names a GPU by itself, on machines without one too."""
    return not str(device).startswith("cuda") or torch.cuda.is_available()


def main() -> None:
    """The harness's own program, which then knows the model `tuneglm`."""
    from lm_eval.__main__ import cli_evaluate

    try:
        cli_evaluate()
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(USER_ERROR)


if __name__ == "__main__":
    main()
