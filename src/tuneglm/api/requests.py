"""From what a request says to jobs: prompts in the family's form, sampling, limits."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tuneglm.api.job import Job
from tuneglm.api.messages import Message
from tuneglm.api.refusals import Refusal, too_long
from tuneglm.api.schema import ChatRequest, CompletionRequest, Drawn
from tuneglm.api.served import Served
from tuneglm.api.tool_choice import openings
from tuneglm.config import ChatConfig
from tuneglm.errors import DataError
from tuneglm.serve_config import ServeConfig
from tuneglm.writing.places import place
from tuneglm.writing.row import Openings, Row, Sampling
from tuneglm.writing.text import AnswerText

# what OpenAI's completions write where nothing is said
COMPLETION_TOKENS = 16


class Prompts:
    """Requests → jobs of one served model; one at a time, as a fast tokenizer wants it.

    context  the most tokens of a prompt and its answer
    """

    def __init__(self, served: Served, config: ServeConfig, context: int) -> None:
        self._served, self._chat, self._config = served, served.chat, config
        self._context = context
        self._vocabulary: int = self._chat.model.get_input_embeddings().num_embeddings

    def of_chat(self, asked: ChatRequest) -> list[Job]:
        """The choices of a conversation; raises Refusal."""
        conversation = [_entry(message) for message in asked.messages]
        longest = asked.max_completion_tokens or asked.max_tokens
        try:
            prompt = self._chat.prompt(conversation, asked.listed_tools)
        except DataError as error:
            raise Refusal(400, error.sentence, param="messages", code="invalid_value") from None
        told = None
        if asked.logprobs:
            told = asked.top_logprobs or 0
        elif asked.top_logprobs:
            message = "`top_logprobs` is told where `logprobs` is true."
            raise Refusal(400, message, param="top_logprobs", code="invalid_value")
        begins = openings(self._chat, conversation, asked)
        sampling = sampling_of(asked, self._bias(asked), told, begins)
        return self._jobs(asked, [prompt], longest, sampling)

    def of_completion(self, asked: CompletionRequest) -> list[Job]:
        """The choices of each text; raises Refusal."""
        prompts = self.ids_of(asked.prompt, "prompt")
        longest = asked.max_tokens or COMPLETION_TOKENS
        sampling = sampling_of(asked, self._bias(asked), asked.logprobs)
        return self._jobs(asked, prompts, longest, sampling)

    def ids_of(self, given: str | Sequence[Any], param: str) -> list[list[int]]:
        """Texts, or ids of them, as the model's tokenizer writes a text; raises Refusal."""
        several: Sequence[Any] = [given] if isinstance(given, str) else given
        if isinstance(several[0], int):
            several = [several]
        found = [
            self._chat.tokenizer(each)["input_ids"] if isinstance(each, str) else list(each)
            for each in several
        ]
        if not all(found):
            raise Refusal(400, f"`{param}` is empty.", param=param, code="invalid_value")
        largest = max(map(max, found))
        if largest >= self._vocabulary:
            message = f"There is no token {largest}: the model has {self._vocabulary}."
            raise Refusal(400, message, param=param, code="invalid_value")
        longest = max(map(len, found))
        if longest > self._context:
            raise too_long(self._context, longest)
        return found

    def _jobs(
        self,
        asked: ChatRequest | CompletionRequest,
        prompts: Sequence[list[int]],
        longest: int | None,
        sampling: Sampling,
    ) -> list[Job]:
        adapter = self._served.adapter_of(asked.model)
        most = self._config.max_tokens
        if longest is not None and longest > most:
            message = f"An answer has {most} tokens at most; {longest} were asked for."
            raise Refusal(400, message, param="max_tokens", code="invalid_value")
        self._refuse_too_many(len(prompts) * (asked.n or 1))
        is_chat, streams = isinstance(asked, ChatRequest), bool(asked.stream)
        jobs = list[Job]()
        for prompt in prompts:
            room = self._context - len(prompt)
            if room <= 0:
                raise too_long(self._context, len(prompt))
            for choice in range(asked.n or 1):
                own = with_choice(sampling, choice)
                row = Row(prompt, min(longest or most, room), own, adapter)
                self._place(row)
                text = AnswerText(self._chat.decode, asked.stops, leading_space=not is_chat)
                has_stops = bool(asked.stops)
                jobs.append(Job(row, text, len(jobs), streams=streams, has_stops=has_stops))
        return jobs

    def _refuse_too_many(self, count: int) -> None:
        """Answers that could never wait together: to come again would not help."""
        most = self._config.queue
        if count > most:
            message = f"A request may ask for at most {most} answers; {count} were asked for."
            raise Refusal(400, message, param="n", code="invalid_value")

    def _bias(self, asked: Drawn) -> dict[int, float]:
        given = asked.logit_bias or {}
        tokens = {int(key): value for key, value in given.items() if key.isdecimal()}
        if len(tokens) < len(given) or max(tokens, default=0) >= self._vocabulary:
            message = f"`logit_bias` names tokens by their numbers, below {self._vocabulary}."
            raise Refusal(400, message, param="logit_bias", code="invalid_value")
        return tokens

    def _place(self, row: Row) -> None:
        try:
            place(row, self._chat.model.config, self._chat.family)
        except ValueError as error:
            raise Refusal(400, str(error), param="prompt", code="invalid_value") from None


def sampling_of(
    asked: Drawn, bias: Mapping[int, float], told: int | None, begins: Openings = ()
) -> Sampling:
    """How answers are drawn; what is not said is as in `tuneglm chat`."""
    usual = ChatConfig()
    return Sampling(
        temperature=usual.temperature if asked.temperature is None else asked.temperature,
        top_p=usual.top_p if asked.top_p is None else asked.top_p,
        presence=asked.presence_penalty or 0.0,
        frequency=asked.frequency_penalty or 0.0,
        repetition=asked.repetition_penalty or usual.repetition_penalty,
        bias=bias,
        seed=asked.seed,
        logprobs=told,
        openings=begins,
    )


def with_choice(sampling: Sampling, choice: int) -> Sampling:
    """Each choice of a prompt has a chance of its own."""
    return sampling if sampling.seed is None else replace(sampling, seed=sampling.seed + choice)


def _entry(message: Message) -> dict[str, Any]:
    entry: dict[str, Any] = message.model_dump(include={"content"})
    entry["role"] = "system" if message.role == "developer" else message.role
    if message.tool_calls:
        entry["tool_calls"] = [call.model_dump(include={"function"}) for call in message.tool_calls]
    return entry
