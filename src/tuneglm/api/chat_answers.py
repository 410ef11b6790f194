"""Answers of `/v1/chat/completions`: whole ones, and their pieces in a stream."""

import time
import uuid
from collections.abc import Sequence

from tuneglm.api.job import Job, Piece, Reason
from tuneglm.api.row import TokenScore
from tuneglm.api.schema import ChatRequest
from tuneglm.api.told import Json, called, piece_of, text_of, token_told, usage_of
from tuneglm.generate import ChatModel
from tuneglm.models.answers import Answer, plain_part


class ChatAnswers:
    """Answers of `/v1/chat/completions`."""

    def __init__(self, chat: ChatModel, asked: ChatRequest) -> None:
        self._chat = chat
        self._asked = asked
        is_asked = asked.tools and asked.tool_choice != "none"
        self._tools = [tool.function.name for tool in asked.tools or []] if is_asked else []
        # of each choice: its text so far, and how many characters of it were sent
        self._seen: dict[int, str] = {}
        self._sent: dict[int, int] = {}
        self._head = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time())}

    def whole(self, jobs: Sequence[Job], reasons: Sequence[Reason]) -> Json:
        """The answer of a request that is not streamed."""
        choices = []
        for job, reason in zip(jobs, reasons, strict=True):
            answer = self._answer(job)
            message: Json = {"role": "assistant", "content": answer.content, "refusal": None}
            if answer.calls:
                message["content"] = answer.content or None
                message["tool_calls"] = called(answer.calls)
            choices.append(
                {
                    "index": job.number,
                    "message": message,
                    "logprobs": self._logprobs(job, job.known_scores, 0),
                    "finish_reason": "tool_calls" if answer.calls else reason,
                }
            )
        return {**self._named("chat.completion"), "choices": choices, "usage": usage_of(jobs)}

    def opening(self, job: Job) -> Json:
        """The first piece of a choice."""
        return self._chunk(job, {"role": "assistant", "content": ""})

    def piece(self, job: Job, piece: Piece) -> Json | None:
        """What was written since the last one; None where it may be a tool that is called."""
        text = piece.text
        if self._tools:
            seen = self._seen[job.number] = self._seen.get(job.number, "") + text
            plain, sent = plain_part(seen, self._tools), self._sent.get(job.number, 0)
            text, self._sent[job.number] = plain[sent:], max(sent, len(plain))
        if not text and not piece.scores:
            return None
        told = self._logprobs(job, piece.scores, piece.first)
        return self._chunk(job, {"content": text}, told)

    def closing(self, job: Job, reason: Reason) -> list[Json]:
        """The last pieces of a choice: what was held back, or the tools that are called."""
        pieces, why = list[Json](), str(reason)
        if self._tools:
            answer = self._answer(job)
            rest = answer.content[self._sent.get(job.number, 0) :]
            if rest:
                pieces.append(self._chunk(job, {"content": rest}))
            for number, call in enumerate(called(answer.calls)):
                pieces.append(self._chunk(job, {"tool_calls": [{"index": number, **call}]}))
                why = "tool_calls"
        return [*pieces, self._chunk(job, {}, why=why)]

    def used(self, jobs: Sequence[Job]) -> Json:
        """The piece that tells the tokens' number."""
        return {**self._named("chat.completion.chunk"), "choices": [], "usage": usage_of(jobs)}

    def _answer(self, job: Job) -> Answer:
        if self._tools:
            found = self._chat.family.read_answer(self._chat.tokenizer, job.answer, self._tools)
            if found.calls:
                return found
        return Answer(text_of(self._chat, job).lstrip())

    def _chunk(
        self, job: Job, delta: Json, logprobs: Json | None = None, why: str | None = None
    ) -> Json:
        choice = {"index": job.number, "delta": delta, "logprobs": logprobs, "finish_reason": why}
        return {**self._named("chat.completion.chunk"), "choices": [choice]}

    def _named(self, kind: str) -> Json:
        return {**self._head, "object": kind, "model": self._asked.model}

    def _logprobs(self, job: Job, scores: Sequence[TokenScore], first: int) -> Json | None:
        if not self._asked.logprobs:
            return None
        found = []
        for place, score in enumerate(scores, first):
            before = job.row.ids[place - 1] if place else job.row.prompt[-1]
            likeliest = [
                token_told(piece_of(self._chat, before, token), logprob)
                for token, logprob in score.likeliest
            ]
            own = token_told(piece_of(self._chat, before, score.token), score.logprob)
            found.append({**own, "top_logprobs": likeliest})
        return {"content": found, "refusal": None}
