"""What lm-evaluation-harness hands over as texts and dicts, in our own terms."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tuneglm.config import ChatConfig

# a conversation on its way through the harness, which knows texts alone
CONVERSATION = "\x02conversation\x02"
ANSWER_TOKENS = 256


def conversation_in(text: str) -> tuple[list[dict[str, Any]] | None, str]:
    """The conversation in a text of `apply_chat_template`, and how its answer is to begin."""
    if not text.startswith(CONVERSATION):
        return None, ""
    _, history, rest = text.split(CONVERSATION, 2)
    messages: list[dict[str, Any]] = json.loads(history)
    prefix = messages.pop()["content"] if messages[-1]["role"] == "assistant" else ""
    return messages, prefix + rest


def drawing_of(settings: Mapping[str, Any]) -> ChatConfig:
    """How an answer is drawn that the harness asks for."""
    draws = bool(settings.get("do_sample", False))
    return ChatConfig(
        max_new_tokens=int(settings.get("max_gen_toks", ANSWER_TOKENS)),
        temperature=float(settings.get("temperature", 1.0)) if draws else 0,
        top_p=float(settings.get("top_p", 1.0)) if draws else 1.0,
    )


def cut(answer: str, ends: str | Sequence[str]) -> str:
    """An answer up to the first of the texts at which it is to end."""
    for end in [ends] if isinstance(ends, str) else ends:
        if end:
            answer = answer.split(end)[0]
    return answer
