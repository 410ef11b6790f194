"""Answers of `/v1/completions`: whole ones, and their pieces in a stream."""

import time
import uuid
from collections.abc import Mapping, Sequence

from tuneglm.api.job import Job, Piece, Reason
from tuneglm.api.row import TokenScore
from tuneglm.api.schema import CompletionRequest
from tuneglm.api.told import Json, piece_of, text_of, usage_of
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
        self._offsets: dict[int, int] = {}

    def whole(self, jobs: Sequence[Job], reasons: Sequence[Reason]) -> Json:
        """The answer of a request that is not streamed."""
        choices = [
            self._choice(job, text_of(self._chat, job), job.known_scores, 0, reason)
            for job, reason in zip(jobs, reasons, strict=True)
        ]
        return {**self._head, "choices": choices, "usage": usage_of(jobs)}

    def opening(self, job: Job) -> None:
        """A text has none."""

    def piece(self, job: Job, piece: Piece) -> Json | None:
        """What was written since the last one."""
        if not piece.text and not piece.scores:
            return None
        choice = self._choice(job, piece.text, piece.scores, piece.first, None)
        return {**self._head, "choices": [choice]}

    def closing(self, job: Job, reason: Reason) -> list[Json]:
        """The last piece of a choice."""
        return [{**self._head, "choices": [self._choice(job, "", (), 0, reason)]}]

    def used(self, jobs: Sequence[Job]) -> Json:
        """The piece that tells the tokens' number."""
        return {**self._head, "choices": [], "usage": usage_of(jobs)}

    def _choice(
        self,
        job: Job,
        text: str,
        scores: Sequence[TokenScore],
        first: int,
        reason: Reason | None,
    ) -> Json:
        logprobs = None
        if self._asked.logprobs is not None:
            logprobs = self._logprobs(job, scores, first)
        choice = {"index": job.number, "text": text, "logprobs": logprobs}
        return {**choice, "finish_reason": reason}

    def _logprobs(self, job: Job, scores: Sequence[TokenScore], first: int) -> Json:
        tokens, offsets = list[str](), list[int]()
        likeliest = list[Mapping[str, float]]()
        for place, score in enumerate(scores, first):
            before = job.row.ids[place - 1] if place else job.row.prompt[-1]
            offsets.append(self._offsets.get(job.number, 0))
            tokens.append(piece_of(self._chat, before, score.token))
            self._offsets[job.number] = offsets[-1] + len(tokens[-1])
            likeliest.append(
                {piece_of(self._chat, before, token): value for token, value in score.likeliest}
            )
        return {
            "tokens": tokens,
            "token_logprobs": [score.logprob for score in scores],
            "top_logprobs": likeliest,
            "text_offset": offsets,
        }
