"""Answers of `/v1/completions`: whole ones, and their pieces in a stream."""

import time
import uuid
from collections.abc import Sequence

from tuneglm.api.job import Job, Piece, Reason, TextToken
from tuneglm.api.schema import CompletionRequest
from tuneglm.api.told import Json, Tokens, readable, text_of, usage_of
from tuneglm.generate import ChatModel


class CompletionAnswers:
    """Answers of `/v1/completions`."""

    def __init__(self, chat: ChatModel, asked: CompletionRequest) -> None:
        self._chat, self._asked = chat, asked
        self._head = {
            "id": f"cmpl-{uuid.uuid4().hex}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": asked.model,
        }
        is_told = asked.logprobs is not None
        self._spelled = Tokens(chat, leading_space=True) if is_told else None

    def whole(self, jobs: Sequence[Job], reasons: Sequence[Reason]) -> Json:
        """The answer of a request that is not streamed."""
        choices = [
            self._choice(job, text_of(self._chat, job), job.new_tokens(), reason)
            for job, reason in zip(jobs, reasons, strict=True)
        ]
        return {**self._head, "choices": choices, "usage": usage_of(jobs)}

    def opening(self, job: Job) -> None:
        """A text has none."""

    def piece(self, job: Job, piece: Piece) -> Json | None:
        """What was written since the last one."""
        if not piece.text and not piece.tokens:
            return None
        return self._piece(self._choice(job, piece.text, piece.tokens, None))

    def closing(self, job: Job, reason: Reason) -> list[Json]:
        """The last piece of a choice."""
        return [self._piece(self._choice(job, "", (), reason))]

    def used(self, jobs: Sequence[Job]) -> Json:
        """The piece that tells the tokens' number."""
        return {**self._head, "choices": [], "usage": usage_of(jobs)}

    def _piece(self, choice: Json) -> Json:
        usage = {"usage": None} if self._asked.tells_usage else {}
        return {**self._head, "choices": [choice], **usage}

    def _choice(
        self, job: Job, text: str, tokens: Sequence[TextToken], reason: Reason | None
    ) -> Json:
        told = None if self._spelled is None else _logprobs(self._spelled, tokens)
        return {"index": job.number, "text": text, "logprobs": told, "finish_reason": reason}


def _logprobs(spelled: Tokens, tokens: Sequence[TextToken]) -> Json:
    own = [spelled.own(token) or b"" for token in tokens]
    return {
        "tokens": [_written(each) for each in own],
        "token_logprobs": [token.score.logprob for token in tokens],
        "top_logprobs": [
            {name if spelt is None else _written(spelt): value for name, value, spelt in likeliest}
            for likeliest in map(spelled.likeliest, tokens)
        ],
        "text_offset": [token.start for token in tokens],
    }


def _written(spelt: bytes) -> str:
    """A part of a character has no text; here OpenAI says so before its bytes."""
    text = readable(spelt)
    return text if text.encode() == spelt else f"bytes:{text}"
