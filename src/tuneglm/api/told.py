"""What all answers tell alike: their text, the texts of tokens, usage, calls."""

import uuid
from collections.abc import Sequence
from typing import Any

from tuneglm.api.job import Job
from tuneglm.generate import ChatModel
from tuneglm.models.answers import Call

Json = dict[str, Any]


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


def token_told(text: str, logprob: float) -> Json:
    """A token's text and probability; bytes where its characters are whole."""
    is_whole = "\ufffd" not in text
    return {"token": text, "logprob": logprob, "bytes": list(text.encode()) if is_whole else None}
