"""Tokens that are told of are those of the text that comes back, to the byte."""

import json
import random
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from tests.api.vocabularies import NAMES, talking
from tuneglm.api.chat_answers import ChatAnswers
from tuneglm.api.completion_answers import CompletionAnswers
from tuneglm.api.job import Job, Piece, Reason
from tuneglm.api.schema import ChatRequest, CompletionRequest
from tuneglm.generate import ChatModel
from tuneglm.writing.row import Row, Sampling
from tuneglm.writing.sampling import draw
from tuneglm.writing.text import AnswerText

TEXTS = ("星河🙂", " hello world", "\n\n", "你好，", "1 + 2 = 3", "𠮷 é ", "the end")
ASKED: Any = {"model": "m", "messages": [{"role": "user", "content": "x"}], "logprobs": True}
TOOL: Any = {"type": "function", "function": {"name": "weather"}}


@pytest.fixture(params=NAMES)
def chat(request: pytest.FixtureRequest) -> ChatModel:
    """Pieces with a byte for each that is no character, and byte-level vocabularies."""
    return talking(request.param)


def ids_of(chat: ChatModel, text: str) -> list[int]:
    ids: list[int] = chat.tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def write(job: Job, ids: Sequence[int], likeliest: int = 3) -> list[Piece]:
    """What the scheduler makes of an answer of these tokens, without a model."""
    pieces = []
    generator = torch.Generator().manual_seed(0)
    size = max(ids) + 10
    for place, token in enumerate(ids):
        logits = torch.randn(1, size, generator=generator)
        logits[0, token] = 9
        ((drawn, score),) = draw(logits, [job.row])
        assert drawn == token
        job.row.append(drawn, score)
        text = job.text.add(token)
        is_last = job.text.is_stopped or place == len(ids) - 1
        text += job.text.end() if is_last else ""
        if job.streams and (text or is_last):
            pieces.append(Piece(text, job.new_tokens()))
        if is_last:
            return pieces
    return pieces


def job_of(chat: ChatModel, stops: Sequence[str] = (), *, is_chat: bool, streams: bool) -> Job:
    row = Row([5, 6], 1000, Sampling(temperature=0, logprobs=3), "base")
    text = AnswerText(chat.decode, stops, leading_space=not is_chat)
    return Job(row, text, 0, streams=streams, has_stops=bool(stops))


def joined(tokens: Sequence[Any]) -> bytes:
    return b"".join(bytes(token["bytes"]) for token in tokens)


@pytest.mark.parametrize("seed", range(6))
def test_bytes_of_tokens_are_those_of_the_text(chat: ChatModel, seed: int) -> None:
    """Whole and in pieces, with and without a stop that cuts a token."""
    chance = random.Random(seed)
    said = "\n" + "".join(chance.choice(TEXTS) for _ in range(12))
    ids = ids_of(chat, said)
    whole_text = chat.decode(ids).lstrip()
    at = chance.randrange(2, len(whole_text) - 3)
    for stops in ([], [whole_text[at : at + 2]]):
        whole, streamed = (
            job_of(chat, stops, is_chat=True, streams=streams) for streams in (False, True)
        )
        pieces = write(streamed, ids)
        write(whole, ids)
        answers = ChatAnswers(chat, ChatRequest(**ASKED, stop=stops or None))
        choice = answers.whole([whole], ["stop"])["choices"][0]
        content = choice["message"]["content"]
        assert content == (whole_text.partition(stops[0])[0] if stops else whole_text)
        tokens = choice["logprobs"]["content"]
        assert joined(tokens) == content.encode()
        text, told = "", []
        for chunk in [answers.piece(streamed, piece) for piece in pieces]:
            if chunk is None:
                continue
            (part,) = chunk["choices"]
            text += part["delta"]["content"]
            told += part["logprobs"]["content"]
            assert joined(told) == text.encode()[: len(joined(told))]
        assert (text, told) == (content, tokens)
        for token in tokens:
            # the likeliest is the one that was drawn, and is told of alike
            first = {**token}
            del first["top_logprobs"]
            assert token["top_logprobs"][0] == first
            for each in [token, *token["top_logprobs"]]:
                spelt = each["bytes"]
                if spelt is not None and b"\\" not in bytes(spelt):
                    is_text = "\\x" not in each["token"]
                    assert not is_text or each["token"].encode() == bytes(spelt)


def test_a_character_of_several_tokens(chat: ChatModel) -> None:
    ids = ids_of(chat, "a𠮷b")
    job = job_of(chat, is_chat=True, streams=False)
    write(job, ids)
    told = ChatAnswers(chat, ChatRequest(**ASKED)).whole([job], ["stop"])["choices"][0]
    tokens = told["logprobs"]["content"]
    parts = [token for token in tokens if "\\x" in token["token"]]
    assert len(parts) > 1
    assert joined(parts) == "𠮷".encode()
    assert parts[0]["token"].startswith("\\xf0")


def test_the_formats_own_tokens_are_no_text(chat: ChatModel) -> None:
    """In an answer they are not told of; beside one they have a name and no bytes."""
    end = chat.end_tokens[0]
    first, *rest = ids_of(chat, "hello")
    job = job_of(chat, is_chat=True, streams=False)
    write(job, [first, end, *rest])
    answers = ChatAnswers(chat, ChatRequest(**ASKED))
    choice = answers.whole([job], ["stop"])["choices"][0]
    assert joined(choice["logprobs"]["content"]) == choice["message"]["content"].encode()
    assert all(token["token"] for token in choice["logprobs"]["content"])
    spelled = answers._spelled
    assert spelled is not None and spelled._other(end, first) is None
    assert spelled._spelling.name_of(end) in chat.tokenizer.all_special_tokens


def test_completions_tell_them_too(chat: ChatModel) -> None:
    ids = ids_of(chat, "one 𠮷 two")
    job = job_of(chat, is_chat=False, streams=False)
    write(job, ids)
    asked = CompletionRequest(model="m", prompt="x", logprobs=3)
    choice = CompletionAnswers(chat, asked).whole([job], ["length"])["choices"][0]
    found = choice["logprobs"]
    assert len({len(found[name]) for name in found}) == 1
    assert found["tokens"][0] == choice["text"][: len(found["tokens"][0])]
    parts = [token for token in found["tokens"] if token.startswith("bytes:")]
    assert "".join(parts).replace("bytes:", "") == "\\xf0\\xa0\\xae\\xb7"
    for token, offset in zip(found["tokens"], found["text_offset"], strict=True):
        assert choice["text"][offset:].startswith("𠮷" if token in parts else token)
    for token, likeliest in zip(found["tokens"], found["top_logprobs"], strict=True):
        assert token in likeliest


@pytest.mark.parametrize("before", ["", "Let me look.\n"])
def test_what_calls_a_tool_is_not_told_of(before: str) -> None:
    """Nor sent before it is known to be text."""
    chat = talking("byte-level")
    call = "<tool_call>" + json.dumps({"name": "weather", "arguments": {}}) + "</tool_call>"
    for said, reason in ((before + call, "tool_calls"), (before + "weather is fine", "stop")):
        ids = ids_of(chat, said)
        answers = ChatAnswers(chat, ChatRequest(**ASKED, tools=[TOOL]))
        jobs = [job_of(chat, is_chat=True, streams=streams) for streams in (False, True)]
        write(jobs[0], ids)
        choice = answers.whole(jobs[:1], ["stop"])["choices"][0]
        content = choice["message"]["content"] or ""
        assert choice["finish_reason"] == reason
        assert joined(choice["logprobs"]["content"]).rstrip() == content.encode().rstrip()
        stop: Reason = "stop"
        pieces = [answers.piece(jobs[1], piece) for piece in write(jobs[1], ids)]
        chunks = [*(each for each in pieces if each), *answers.closing(jobs[1], stop)]
        text, told = "", []
        for chunk in chunks:
            (part,) = chunk["choices"]
            text += part["delta"].get("content", "")
            told += (part["logprobs"] or {"content": []})["content"]
        assert joined(told) == text.encode()
        assert (chunks[-1]["choices"][0]["finish_reason"]) == reason
