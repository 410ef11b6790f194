"""What all answers tell alike: their text, the texts of tokens, usage, calls."""

import uuid
from collections.abc import Sequence
from typing import Any

from tuneglm.api.job import Job, TextToken
from tuneglm.api.spelling import Spelling
from tuneglm.generate import ChatModel
from tuneglm.models.answers import Call

Json = dict[str, Any]


def text_of(chat: ChatModel, job: Job) -> str:
    """An answer's text, up to its stop."""
    return job.text.text if job.reads_along else chat.decode(job.answer)


def usage_of(jobs: Sequence[Job]) -> Json:
    """Tokens read and written; choices of one prompt read it once."""
    prompts = {id(job.row.prompt): len(job.row.prompt) for job in jobs}
    read, written = sum(prompts.values()), sum(len(job.row.ids) for job in jobs)
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


def called(calls: Sequence[Call]) -> list[Json]:
    """Calls of tools, each with a number of its own."""
    return [
        {
            "id": f"call_{uuid.uuid4().hex[:24]}",
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments},
        }
        for call in calls
    ]


class Tokens:
    """How tokens of an answer are told of.

    leading_space  whether white space at an answer's beginning is a part of it
    """

    def __init__(self, chat: ChatModel, *, leading_space: bool) -> None:
        self._spelling, self._leading = Spelling(chat), leading_space

    def own(self, token: TextToken) -> bytes | None:
        """What of a drawn token stands in the text."""
        if token.text is not None:
            return token.text.encode()
        return self._spelling.bytes_of(token.score.token, token.before)

    def likeliest(self, token: TextToken) -> list[tuple[str, float, bytes | None]]:
        """(text, log probability, bytes) of those that might have stood there."""
        found = []
        for other, logprob in token.score.likeliest:
            is_own = other == token.score.token
            spelt = self.own(token) if is_own else self._other(other, token.before)
            name = self._spelling.name_of(other) if spelt is None else readable(spelt)
            found.append((name, logprob, spelt))
        return found

    def _other(self, token: int, before: int | None) -> bytes | None:
        spelt = self._spelling.bytes_of(token, before)
        if spelt is None or before is not None or self._leading:
            return spelt
        return spelt.lstrip() or spelt


def readable(spelt: bytes | None) -> str:
    """Bytes as text; of a part of a character as OpenAI writes them: `\\xe6\\x98`."""
    return (spelt or b"").decode("utf-8", "backslashreplace")


def token_told(text: str, logprob: float, spelt: bytes | None) -> Json:
    """A token in OpenAI's form; without bytes where it is no text."""
    return {"token": text, "logprob": logprob, "bytes": None if spelt is None else list(spelt)}
