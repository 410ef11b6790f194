"""Answers of `/v1/chat/completions`: whole ones, and their pieces in a stream."""

import time
import uuid
from collections.abc import Sequence

from tuneglm.api.job import Job, Piece, Reason, TextToken
from tuneglm.api.schema import ChatRequest
from tuneglm.api.told import Json, Tokens, called, readable, text_of, token_told, usage_of
from tuneglm.generate import ChatModel
from tuneglm.models.answers import Answer, plain_part


class ChatAnswers:
    """Answers of `/v1/chat/completions`."""

    def __init__(self, chat: ChatModel, asked: ChatRequest) -> None:
        self._chat = chat
        self._asked = asked
        is_asked = asked.tools and asked.tool_choice != "none"
        self._tools = [tool.function.name for tool in asked.tools or []] if is_asked else []
        self._spelled = Tokens(chat, leading_space=False) if asked.logprobs else None
        # of each choice: its text so far, how many characters of it were sent, and tokens of
        # what may be a call
        self._seen: dict[int, str] = {}
        self._sent: dict[int, int] = {}
        self._held: dict[int, list[TextToken]] = {}
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
                    "logprobs": self._logprobs(_before_calls(job.new_tokens(), job, answer)),
                    "finish_reason": "tool_calls" if answer.calls else reason,
                }
            )
        return {**self._named("chat.completion"), "choices": choices, "usage": usage_of(jobs)}

    def opening(self, job: Job) -> Json:
        """The first piece of a choice."""
        return self._chunk(job, {"role": "assistant", "content": ""})

    def piece(self, job: Job, piece: Piece) -> Json | None:
        """What was written since the last one; None where it may be a tool that is called."""
        text, tokens = piece.text, list(piece.tokens)
        if self._tools:
            seen = self._seen[job.number] = self._seen.get(job.number, "") + text
            plain, sent = plain_part(seen, self._tools), self._sent.get(job.number, 0)
            text, self._sent[job.number] = plain[sent:], max(sent, len(plain))
            held = [*self._held.get(job.number, ()), *tokens]
            tokens = [token for token in held if token.end <= self._sent[job.number]]
            self._held[job.number] = held[len(tokens) :]
        if not text and not tokens:
            return None
        return self._chunk(job, {"content": text}, self._logprobs(tokens))

    def closing(self, job: Job, reason: Reason) -> list[Json]:
        """The last pieces of a choice: what was held back, or the tools that are called."""
        pieces, why = list[Json](), str(reason)
        if self._tools:
            answer = self._answer(job)
            rest = answer.content[self._sent.get(job.number, 0) :]
            tokens = _before_calls(self._held.pop(job.number, ()), job, answer)
            if rest or tokens:
                pieces.append(self._chunk(job, {"content": rest}, self._logprobs(tokens)))
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
        usage = {"usage": None} if self._asked.tells_usage else {}
        return {**self._named("chat.completion.chunk"), "choices": [choice], **usage}

    def _named(self, kind: str) -> Json:
        return {**self._head, "object": kind, "model": self._asked.model}

    def _logprobs(self, tokens: Sequence[TextToken]) -> Json | None:
        if self._spelled is None:
            return None
        found = []
        for token in tokens:
            likeliest = [token_told(*each) for each in self._spelled.likeliest(token)]
            own = self._spelled.own(token)
            told = token_told(readable(own), token.score.logprob, own)
            found.append({**told, "top_logprobs": likeliest})
        return {"content": found, "refusal": None}


def _before_calls(tokens: Sequence[TextToken], job: Job, answer: Answer) -> Sequence[TextToken]:
    """Those of an answer's text; what calls a tool is no part of that."""
    if not answer.calls:
        return tokens
    is_begin = job.text.text.startswith(answer.content)
    return [token for token in tokens if is_begin and token.end <= len(answer.content)]
