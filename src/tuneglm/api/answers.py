"""From jobs to what OpenAI's clients read: whole answers, and their pieces in a stream."""

import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from tuneglm.api.job import Job, Reason
from tuneglm.api.row import TokenScore
from tuneglm.api.schema import ChatRequest, CompletionRequest
from tuneglm.generate import ChatModel
from tuneglm.models.answers import Answer, Call

Json = dict[str, Any]


class ChatAnswers:
    """Answers of `/v1/chat/completions`."""

    def __init__(self, chat: ChatModel, asked: ChatRequest) -> None:
        self._chat = chat
        self._asked = asked
        is_asked = asked.tools and asked.tool_choice != "none"
        self._tools = [tool.function.name for tool in asked.tools or []] if is_asked else []
        self._head = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time())}

    def whole(self, jobs: Sequence[Job], reasons: Sequence[Reason]) -> Json:
        """The answer of a request that is not streamed."""
        choices = []
        for job, reason in zip(jobs, reasons, strict=True):
            answer = self._answer(job)
            message: Json = {"role": "assistant", "content": answer.content, "refusal": None}
            if answer.calls:
                message["content"] = answer.content or None
                message["tool_calls"] = _called(answer.calls)
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

    def piece(self, job: Job, text: str, scores: Sequence[TokenScore]) -> Json:
        """What was written since the last one."""
        first = job.told - len(scores)
        return self._chunk(job, {"content": text}, self._logprobs(job, scores, first))

    def closing(self, job: Job, reason: Reason) -> list[Json]:
        """The last pieces of a choice; all of it where tools might have been called."""
        pieces, why = list[Json](), str(reason)
        if self._tools:
            answer = self._answer(job)
            if answer.content:
                pieces.append(self._chunk(job, {"content": answer.content}))
            for number, call in enumerate(_called(answer.calls)):
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
                _token(piece_of(self._chat, before, token), logprob)
                for token, logprob in score.likeliest
            ]
            own = _token(piece_of(self._chat, before, score.token), score.logprob)
            found.append({**own, "top_logprobs": likeliest})
        return {"content": found, "refusal": None}


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

    def piece(self, job: Job, text: str, scores: Sequence[TokenScore]) -> Json:
        """What was written since the last one."""
        choice = self._choice(job, text, scores, job.told - len(scores), None)
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


def text_of(chat: ChatModel, job: Job) -> str:
    """An answer's text, up to its stop."""
    return job.text.text if job.reads_along else chat.decode(job.answer)


def piece_of(chat: ChatModel, before: int, token: int) -> str:
    """The text that a token adds to the one before it: alone it would lose its space."""
    return chat.decode([before, token])[len(chat.decode([before])) :]


def usage_of(jobs: Sequence[Job]) -> Json:
    """Tokens read and written; choices of one prompt read it once."""
    prompts = {id(job.row.prompt): len(job.row.prompt) for job in jobs}
    read, written = sum(prompts.values()), sum(len(job.row.ids) for job in jobs)
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


def _called(calls: Sequence[Call]) -> list[Json]:
    return [
        {
            "id": f"call_{uuid.uuid4().hex[:24]}",
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments},
        }
        for call in calls
    ]


def _token(text: str, logprob: float) -> Json:
    is_whole = "\ufffd" not in text
    return {"token": text, "logprob": logprob, "bytes": list(text.encode()) if is_whole else None}
