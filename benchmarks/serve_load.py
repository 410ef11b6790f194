"""A server under load: eight chats at once, many clients for minutes, requests that are none.

    python benchmarks/serve_load.py [--seconds 300] [--clients 64] [--malformed 1000] [--path MODEL]

The server is a process of its own, started as people start it. Its baseline is itself: eight
chats one after another against the same eight at once, in alternating rounds. Then so many
clients ask without a pause: none may be lost, and memory must not grow. Last come requests that
no program should send: each must be refused with a 4xx, and the server answers as before.
"""

import argparse
import asyncio
import json
import os
import random
import re
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import openai

from tuneglm.demo import MODEL_FOLDER

CHATS, ROUNDS, ANSWER = 8, 3, 64
QUESTIONS = (
    "Who are you?",
    "你是谁？",
    "法国的首都是哪里？",
    "3+4=",
    "Tell me about the seasons of the year.",
    "What is the capital of Japan? " * 8,
    "hello",
    "谁开发了你？",
)
# a server that has seen all lengths of prompts holds what it will hold
WARM = 0.25
# token → what is added to its score; those that end an answer, once the model is known
NEVER_ENDS: dict[str, int] = {}


@contextmanager
def server(path: str, *options: str) -> Iterator[tuple[str, int]]:
    """(URL, number of the process) of `tuneglm serve`."""
    words = [sys.executable, "-m", "tuneglm", "serve", path, "--port", "0", *options]
    log = subprocess.DEVNULL
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=log, text=True)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        found = re.search(r"http://\S+/v1", line)
        if found is None:
            raise RuntimeError(f"the server did not start: {line}")
        url = found[0].removesuffix("/v1")
        while not _answers(url):
            time.sleep(0.05)
        yield url, process.pid
    finally:
        process.terminate()
        process.wait()


def never_end(path: str) -> None:
    """Let every answer be as long as is asked for."""
    from tuneglm.models.loading import load_tokenizer, local_folder, resolved_family

    family = resolved_family(local_folder(path))
    ends = family.end_tokens(load_tokenizer(path, family=family.name))
    NEVER_ENDS.update({str(token): -100 for token in ends})


def at_once(url: str, model: str, tokens: int = ANSWER, rounds: int = ROUNDS) -> dict[str, float]:
    """Seconds for eight chats one after another, and at once; medians of alternating rounds."""
    alone, together = list[float](), list[float]()

    async def measure() -> None:
        client = _client(url)
        await _ask(client, model, 0, tokens)
        for _ in range(rounds):
            began = time.perf_counter()
            for number in range(CHATS):
                await _ask(client, model, number, tokens)
            alone.append(time.perf_counter() - began)
            began = time.perf_counter()
            await asyncio.gather(*(_ask(client, model, it, tokens) for it in range(CHATS)))
            together.append(time.perf_counter() - began)

    asyncio.run(measure())
    one, all_ = statistics.median(alone), statistics.median(together)
    written = CHATS * tokens
    return {
        "one after another, tokens/s": written / one,
        "at once, tokens/s": written / all_,
        "times": one / all_,
    }


def crowd(url: str, process: int, model: str, clients: int, seconds: float) -> dict[str, Any]:
    """So many clients without a pause: what came of their requests, and memory over time."""
    outcomes: Counter[str] = Counter()
    waits, memory = list[float](), list[tuple[float, int]]()
    began = time.monotonic()

    async def ask_on(number: int) -> None:
        client, chance = _client(url), random.Random(number)
        while time.monotonic() - began < seconds:
            asked = time.monotonic()
            try:
                tokens = chance.choice((4, 16, 32))
                await _ask(client, model, chance.randrange(len(QUESTIONS)), tokens)
                outcomes["answered"] += 1
            except openai.RateLimitError:
                outcomes["told to come again"] += 1
                await asyncio.sleep(1)
            except openai.OpenAIError as error:
                outcomes[f"lost: {type(error).__name__}"] += 1
            waits.append(time.monotonic() - asked)

    async def watch() -> None:
        while time.monotonic() - began < seconds:
            memory.append((time.monotonic() - began, resident(process)))
            await asyncio.sleep(max(0.05, seconds / 200))

    async def all_of_them() -> None:
        await asyncio.gather(watch(), *(ask_on(number) for number in range(clients)))

    asyncio.run(all_of_them())
    # a machine that is very busy may have had no time to look
    warm = [size for at, size in memory if at >= WARM * seconds] or [resident(process)]
    middle, end = len(warm) // 2, resident(process)
    return {
        **outcomes,
        "lost": sum(count for name, count in outcomes.items() if name.startswith("lost")),
        "median wait, s": statistics.median(waits),
        "memory in the first half, MiB": max(warm[: middle or 1]) // 2**20,
        "memory at the end, MiB": end // 2**20,
        "grown, MiB": (end - max(warm[: middle or 1])) / 2**20,
    }


def malformed(count: int, model: str, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Requests that are to be refused, each in its own way: arguments of `httpx.request`."""
    chance = random.Random(seed)
    kind = {"Content-Type": "application/json"}
    said = [{"role": "user", "content": "hello"}]
    good: dict[str, Any] = {"model": model, "messages": said, "max_tokens": 2}
    strange: list[Any] = [None, -1, 1e308, [], {}, [[]], True, "\ud800", 2**80, {"a": {}}]
    chat = "/v1/chat/completions"

    def changed(**fields: Any) -> dict[str, Any]:
        return {"url": chat, "content": json.dumps({**good, **fields}), "headers": kind}

    for _ in range(count):
        value = chance.choice(strange)
        word = "".join(chance.choices("abcxyz_", k=9))
        whole = json.dumps(good)
        ways: list[dict[str, Any]] = [
            {"url": chat, "content": whole[: chance.randrange(len(whole))], "headers": kind},
            {"url": chat, "content": chance.randbytes(chance.randrange(300)), "headers": kind},
            {"url": chat, "content": "[" * chance.randrange(1, 99999), "headers": kind},
            {"url": chat, "content": json.dumps(value), "headers": kind},
            {"url": chat, "content": whole, "headers": {"Content-Type": "text/plain"}},
            {"url": chat, "content": b" " * (2**20 + 5), "headers": kind},
            {"url": f"/{word}", "content": whole, "headers": kind},
            {"url": chat, "method": chance.choice(("GET", "PUT", "DELETE"))},
            {"url": "/v1/models/" + word, "method": "GET"},
            {"url": "/v1/embeddings", "content": json.dumps({"model": model, "input": [value]})}
            | {"headers": kind},
            {"url": "/v1/completions", "content": json.dumps({"model": model, "prompt": [value]})}
            | {"headers": kind},
            changed(**{word: value}),
            changed(model=chance.choice([value, word])),
            changed(messages=chance.choice([None, "x", [], [value], [{"role": word}]])),
            changed(messages=[{"role": "user", "content": [value]}]),
            changed(messages=[{"role": "user", "content": "long " * 9000}]),
            changed(messages=[{"role": "user", "content": "\udfff"}]),
            changed(temperature=chance.choice(["hot", -1, 3, [], {}, True])),
            changed(top_p=chance.choice([0, 1.5, "x", []])),
            changed(n=chance.choice([0, -1, 1000, 1.5, "2"])),
            changed(max_tokens=chance.choice([0, -5, 1.5, "x", 10**9])),
            changed(stop=chance.choice([{}, 5, [5], ["a"] * 9])),
            changed(logit_bias=chance.choice([[], {"x": 1}, {"5": 1000}, {"-1": 1}])),
            changed(seed=chance.choice(["x", 1.5, 2**70])),
            changed(tools=chance.choice([{}, [{}], [{"type": "function"}], [value or 5]])),
            changed(response_format={"type": word}),
            changed(logprobs=chance.choice(["x", 5]), top_logprobs=99),
            changed(stream=chance.choice(["x", 5, []])),
            {"url": "/v1/adapters", "content": json.dumps({"name": word, "path": "../.."})}
            | {"headers": kind},
        ]
        yield {"method": "POST", **chance.choice(ways)}


def abuse(url: str, process: int, model: str, count: int) -> dict[str, Any]:
    """How each was answered, and what memory they left."""
    answered: Counter[int] = Counter()
    wrong = list[str]()
    before = 0
    with httpx.Client(base_url=url, timeout=30) as client:
        for number, request in enumerate(malformed(count, model)):
            if number == count // 4:
                before = resident(process)
            answer = client.request(**request)
            answered[answer.status_code] += 1
            is_refusal = 400 <= answer.status_code < 500
            if not is_refusal or set(answer.json()) != {"error"}:
                wrong.append(f"{answer.status_code} {str(request)[:200]}")
        alive = client.get("/health").status_code == 200
    return {
        "answered": {str(status): times for status, times in sorted(answered.items())},
        "not refused": wrong,
        "alive": alive,
        "grown, MiB": (resident(process) - before) / 2**20,
    }


def resident(process: int) -> int:
    """Bytes of a process that are in memory."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def _ask(client: openai.AsyncOpenAI, model: str, number: int, tokens: int) -> None:
    """An answer of so many tokens: its end is forbidden, so that all work as much."""
    asked: Any = {"model": model, "temperature": 0, "max_tokens": tokens}
    asked["messages"] = [{"role": "user", "content": QUESTIONS[number % len(QUESTIONS)]}]
    asked["logit_bias"] = NEVER_ENDS
    answer = await client.chat.completions.create(**asked)
    assert answer.usage.completion_tokens == tokens


def _client(url: str) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=120)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health").status_code == 200
    except httpx.HTTPError:
        return False


def main() -> None:
    parser = argparse.ArgumentParser(description="A server under load.")
    parser.add_argument("--path", default=str(MODEL_FOLDER), help="the model to serve")
    parser.add_argument("--seconds", type=float, default=300, help="how long the clients ask")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--malformed", type=int, default=1000)
    parser.add_argument("serve", nargs="*", help="options for tuneglm serve, behind --")
    given = parser.parse_args()
    print(json.dumps(measured(given), ensure_ascii=False, indent=2))


def measured(given: argparse.Namespace) -> dict[str, Any]:
    """All three parts on one server."""
    from machine import machine

    never_end(given.path)
    with server(given.path, *given.serve) as (url, process):
        model = httpx.get(f"{url}/v1/models").json()["data"][0]["id"]
        return {
            "machine": machine(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1))),
            "eight chats": at_once(url, model),
            "crowd": crowd(url, process, model, given.clients, given.seconds),
            "malformed": abuse(url, process, model, given.malformed),
        }


if __name__ == "__main__":
    main()
