"""The official client against a server on the demo model: all that it can ask of one."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

import tuneglm
from tests.api.serving import KEY, Running, load, serving, wait_until
from tests.conftest import Configure
from tuneglm.demo import MODEL_FOLDER

QUESTION: Any = [{"role": "user", "content": "Who are you?"}]
LONG: Any = [{"role": "user", "content": "Tell me about the seasons of the year."}]
GREEDY = tuneglm.ChatConfig(temperature=0, max_new_tokens=24)


@pytest.fixture(scope="module")
def runs(configure: Configure, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("runs")
    settings = {
        "star": ("method=lora", "method.targets=all", "training.learning_rate=0.01"),
        "prefix": ("method=p_tuning", "method.length=8", "training.learning_rate=0.3"),
    }
    return {
        name: tuneglm.train(configure(folder / name, *given)).folder
        for name, given in settings.items()
    }


@pytest.fixture(scope="module")
def running(runs: dict[str, Path]) -> Iterator[Running]:
    """A run's result, its base and one more adapter; a folder that holds one run means that one."""
    with serving(load(runs["star"], {"prefix": str(runs["prefix"])}), slots=8) as found:
        yield found


def ask(client: openai.OpenAI, model: str = "star", **options: Any) -> Any:
    chosen: Any = {"messages": QUESTION, "temperature": 0, "max_tokens": 24, **options}
    return client.chat.completions.create(model=model, **chosen)


def test_models(running: Running) -> None:
    client = running.client()
    assert [model.id for model in client.models.list()] == ["star", "base", "prefix"]
    assert client.models.retrieve("prefix").id == "prefix"
    with pytest.raises(openai.NotFoundError, match="does not exist"):
        client.models.retrieve("moon")


@pytest.mark.parametrize("model", ["star", "base", "prefix"])
def test_an_answer_is_that_of_chat(running: Running, runs: dict[str, Path], model: str) -> None:
    alone = tuneglm.ChatModel(runs.get(model, MODEL_FOLDER), dtype="float32", device="cpu")
    answer = ask(running.client(), model)
    assert answer.choices[0].message.content == alone.reply(QUESTION, GREEDY) != ""
    assert answer.choices[0].finish_reason in ("stop", "length")
    assert answer.usage.prompt_tokens == len(alone.prompt(QUESTION))
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    pieces = list(ask(running.client(), model, stream=True))
    text = "".join(piece.choices[0].delta.content or "" for piece in pieces)
    assert text == answer.choices[0].message.content
    assert pieces[-1].choices[0].finish_reason == answer.choices[0].finish_reason
    assert len(pieces) > 4, "it comes in pieces"


def test_many_at_once_get_their_own(running: Running) -> None:
    client = running.client()
    asked = [
        (model, [{"role": "user", "content": f"{number}+{number}="}])
        for number in range(4)
        for model in ("star", "base", "prefix")
    ]
    alone = [ask(client, model, messages=said).choices[0].message.content for model, said in asked]
    with ThreadPoolExecutor(12) as pool:
        together = list(pool.map(lambda it: ask(client, it[0], messages=it[1]), asked))
    assert [each.choices[0].message.content for each in together] == alone


def test_stream_with_usage_and_choices(running: Running) -> None:
    client = running.client()
    options: Any = {"stream_options": {"include_usage": True}, "n": 2, "temperature": 1, "seed": 5}
    *pieces, last = ask(client, stream=True, **options)
    assert last.choices == [] and last.usage.completion_tokens > 0
    # as OpenAI has it: there, and null
    assert all(piece.usage is None and "usage" in piece.model_fields_set for piece in pieces)
    texts = ["", ""]
    for piece in pieces:
        texts[piece.choices[0].index] += piece.choices[0].delta.content or ""
    whole = ask(client, n=2, temperature=1, seed=5)
    assert [choice.message.content for choice in whole.choices] == texts
    assert whole.usage == last.usage


def test_a_seed_gives_one_answer_in_any_company(running: Running) -> None:
    client = running.client()
    options: Any = {"temperature": 1.2, "top_p": 0.95}
    first = ask(client, seed=7, **options).choices[0].message.content
    with ThreadPoolExecutor(8) as pool:
        seeds = [7, 1, 2, 7, 3, 4, 5, 7]
        found = list(pool.map(lambda seed: ask(client, seed=seed, **options), seeds))
    texts = [each.choices[0].message.content for each in found]
    assert [text for text, seed in zip(texts, seeds) if seed == 7] == [first] * 3
    assert len(set(texts)) > 3


def test_stop_strings(running: Running) -> None:
    client = running.client()
    whole = ask(client, "base").choices[0].message.content
    stop = whole[5:8]
    cut = whole[: whole.index(stop)]
    answer = ask(client, "base", stop=[stop, "never said"])
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == (cut, "stop")
    pieces = ask(client, "base", stop=stop, stream=True)
    assert "".join(piece.choices[0].delta.content or "" for piece in pieces) == cut
    short = ask(client, "base", max_completion_tokens=2)
    assert short.choices[0].finish_reason == "length" and short.usage.completion_tokens == 2


def test_logprobs(running: Running) -> None:
    client = running.client()
    told = ask(client, "base", logprobs=True, top_logprobs=3).choices[0].logprobs.content
    for token in told:
        assert len(token.top_logprobs) == 3
        assert token.logprob == token.top_logprobs[0].logprob <= 0
    streamed = [
        token.token
        for piece in ask(client, "base", logprobs=True, stream=True)
        if piece.choices and piece.choices[0].logprobs
        for token in piece.choices[0].logprobs.content
    ]
    assert streamed == [token.token for token in told]
    assert "".join(streamed) == ask(client, "base").choices[0].message.content
    whole = "".join(streamed)
    cut = ask(client, "base", logprobs=True, stop=whole[5:8])
    assert "".join(each.token for each in cut.choices[0].logprobs.content) == whole[:5]
    text = client.completions.create(
        model="base", prompt="the", max_tokens=3, logprobs=2, temperature=0
    )
    found = text.choices[0].logprobs
    assert found is not None and found.tokens is not None and found.top_logprobs is not None
    assert len(found.tokens) == text.usage.completion_tokens  # type: ignore[union-attr]
    assert all(len(each) == 2 for each in found.top_logprobs)


def test_penalties_and_bias(running: Running) -> None:
    client = running.client()
    plain = ask(client, "base").choices[0].message.content
    assert ask(client, "base", frequency_penalty=0).choices[0].message.content == plain
    token = running.service.served.chat.tokenizer.convert_tokens_to_ids("<|user|>")
    ended = ask(client, "base", logit_bias={str(token): 100})
    assert ended.choices[0].message.content == "" and ended.usage.completion_tokens == 1
    options: Any = {"max_tokens": 30, "messages": LONG}
    freer = ask(client, "base", presence_penalty=2, frequency_penalty=2, **options)
    assert freer.choices[0].message.content != ask(client, "base", **options)


def test_completions(running: Running) -> None:
    client = running.client()
    chat = running.service.served.chat
    ids = chat.tokenizer("hello")["input_ids"]
    options: Any = {"model": "base", "max_tokens": 6, "temperature": 0}
    by_text = client.completions.create(prompt="hello", **options)
    assert (
        by_text.choices[0].text == client.completions.create(prompt=ids, **options).choices[0].text
    )
    both = client.completions.create(prompt=["hello", "2+2="], n=2, **options)
    assert [choice.index for choice in both.choices] == [0, 1, 2, 3]
    assert both.choices[0].text == both.choices[1].text == by_text.choices[0].text
    assert both.usage is not None and by_text.usage is not None
    assert both.usage.prompt_tokens > by_text.usage.prompt_tokens
    pieces = client.completions.create(prompt="hello", stream=True, **options)
    assert "".join(piece.choices[0].text for piece in pieces) == by_text.choices[0].text


def test_embeddings(running: Running) -> None:
    client = running.client()
    texts = ["hello", "hello", "法国的首都"]
    # the client asks for base64 where nothing is said
    found = [each.embedding for each in client.embeddings.create(model="base", input=texts).data]
    plain = client.embeddings.create(model="base", input=texts, encoding_format="float")
    assert found[0] == found[1] != found[2]
    assert found[2] == pytest.approx(plain.data[2].embedding, abs=1e-6)
    assert sum(number * number for number in found[0]) == pytest.approx(1, abs=1e-5)
    other = client.embeddings.create(model="star", input=texts[0]).data[0].embedding
    assert other != found[0]
    with pytest.raises(openai.BadRequestError, match="dimensions"):
        client.embeddings.create(model="base", input="x", dimensions=3)
    for empty in ("", [], ["hello", ""], [[]]):
        with pytest.raises(openai.BadRequestError) as refused:
            client.embeddings.create(model="base", input=empty)
        body: Any = refused.value.body
        assert body["param"] == "input" and body["type"] == "invalid_request_error"
        assert "empty" in body["message"] or empty == [[]]


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"temperature": 3}, "temperature"),
    ({"temperature": "warm"}, "temperature"),
    ({"temperature": True}, "temperature"),
    ({"top_p": 0}, "top_p"),
    ({"n": 0}, "n"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_tokens": 10**6}, "2048"),
    ({"messages": []}, "messages"),
    ({"messages": [{"role": "king", "content": "x"}]}, "role"),
    ({"messages": [{"role": "user", "content": "x" * 3000}]}, "maximum context length"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "content"),
    ({"top_logprobs": 2}, "logprobs"),
    ({"logit_bias": {"x": 1}}, "logit_bias"),
    ({"logit_bias": {"99999999": 1}}, "logit_bias"),
    ({"stop": ["1", "2", "3", "4", "5"]}, "stop"),
    ({"tool_choice": "required"}, "only allowed when `tools` are specified"),
    ({"tool_choice": "always"}, "tool_choice"),
    ({"response_format": {"type": "json_object"}}, "held to no other form"),
    ({"extra_body": {"foo": 1}}, "Unrecognized request argument supplied: foo"),
]


@pytest.mark.parametrize(("options", "said"), REFUSED, ids=lambda it: str(it)[:40])
def test_what_is_refused(running: Running, options: dict[str, Any], said: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        ask(running.client(), "base", **options)
    body: Any = refused.value.body
    assert said in body["message"] or said in str(body["param"])
    assert body["type"] == "invalid_request_error"
    assert set(body) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"echo": True}, "`echo` is not supported: the answer comes back alone"),
        ({"best_of": 3}, "`best_of` is not supported"),
        ({"suffix": "x"}, "`suffix` is not supported"),
        ({"prompt": ["x"] * 20, "n": 16}, "at most 256 answers; 320 were asked for"),
        ({"logprobs": 6}, "logprobs"),
        ({"prompt": []}, "prompt"),
        ({"prompt": [10**9]}, "There is no token 1000000000"),
    ],
)
def test_what_is_refused_of_completions(
    running: Running, options: dict[str, Any], said: str
) -> None:
    given: Any = {"model": "base", "prompt": "the", **options}
    with pytest.raises(openai.BadRequestError) as refused:
        running.client().completions.create(**given)
    body: Any = refused.value.body
    assert said in body["message"] or said == body["param"]


def test_fields_that_change_nothing_are_taken(running: Running) -> None:
    options: Any = {
        "user": "me",
        "metadata": {"a": "b"},
        "store": False,
        "parallel_tool_calls": True,
    }
    options |= {"response_format": {"type": "text"}, "service_tier": "auto"}
    assert ask(running.client(), "base", **options).choices[0].message.content
    said = [{"role": "developer", "content": "Be brief."}, *QUESTION]
    parts: Any = [*said, {"role": "user", "content": [{"type": "text", "text": "2+2="}]}]
    assert ask(running.client(), "base", messages=parts).choices


def test_who_goes_away_frees_a_place(running: Running) -> None:
    """Of a stream that is left, and of an answer that is not waited for."""
    scheduler = running.service.scheduler
    wait_until(lambda: scheduler.is_idle)
    client = running.client()
    ends = {str(token): -100 for token in running.service.served.chat.end_tokens}
    endless: Any = {"max_tokens": 400, "logit_bias": ends, "messages": LONG}
    stream = ask(client, "base", stream=True, **endless)
    next(iter(stream))
    assert not scheduler.is_idle
    stream.close()
    wait_until(lambda: scheduler.is_idle, 1)
    with pytest.raises(openai.APITimeoutError):
        ask(running.client(timeout=0.15), "base", **endless)
    wait_until(lambda: scheduler.is_idle, 1)


def test_health_and_metrics(running: Running) -> None:
    ask(running.client(), "base")
    assert httpx.get(f"{running.url}/health").json() == {"status": "ok"}
    told = httpx.get(f"{running.url}/metrics").text
    assert 'tuneglm_requests_total{route="/v1/chat/completions",status="200"}' in told
    assert 'tuneglm_answer_tokens_total{model="base"}' in told
    assert "tuneglm_first_token_seconds_count" in told
    missing = httpx.get(f"{running.url}/v1/nothing")
    assert missing.status_code == 404
    assert missing.json()["error"]["code"] == "unknown_url"
    assert httpx.get(f"{running.url}/v1/chat/completions").status_code == 405


def test_another_name_for_this_machine_is_refused(running: Running) -> None:
    """A page that had its own name bent to this machine's address."""
    found = httpx.get(f"{running.url}/v1/models", headers={"Host": "evil.example:8000"})
    assert found.status_code == 403
    # nor can a page send JSON unasked: what is no JSON by its header is not read
    sent = httpx.post(f"{running.url}/v1/completions", content=json.dumps({"model": "base"}))
    assert sent.status_code == 400
    assert "access-control-allow-origin" not in found.headers


def test_a_full_queue_says_when_to_come_again(runs: dict[str, Path]) -> None:
    with serving(load(MODEL_FOLDER), slots=1, queue=1) as running:
        client = running.client()
        ends = {str(token): -100 for token in running.service.served.chat.end_tokens}
        endless: Any = {"max_tokens": 150, "logit_bias": ends, "model": "model"}
        threads = [
            threading.Thread(target=lambda: ask(running.client(), **endless)) for _ in range(2)
        ]
        for thread in threads:
            thread.start()
            wait_until(lambda: running.service.scheduler._jobs)
        wait_until(lambda: running.service.scheduler._waiting)
        with pytest.raises(openai.RateLimitError) as refused:
            ask(client, "model")
        assert int(refused.value.response.headers["Retry-After"]) >= 1
        # what could never wait here is no matter of time
        with pytest.raises(openai.BadRequestError, match="at most 1 answers; 2 were asked for"):
            ask(client, "model", n=2)
        for thread in threads:
            thread.join()
        assert ask(client, "model").choices


def test_keys_rates_and_sizes(runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNEGLM_API_KEY", KEY)
    limits: Any = {"requests_per_minute": 3, "request_size": 2000}
    with serving(load(MODEL_FOLDER), **limits) as running:
        with pytest.raises(openai.AuthenticationError):
            running.client("another").models.list()
        assert httpx.get(f"{running.url}/v1/models").status_code == 401
        assert httpx.get(f"{running.url}/metrics").status_code == 401
        assert httpx.get(f"{running.url}/health").status_code == 200
        client = running.client(KEY)
        assert [model.id for model in client.models.list()] == ["model"]
        with pytest.raises(openai.APIStatusError) as refused:
            ask(client, "model", messages=[{"role": "user", "content": "x" * 3000}])
        assert refused.value.status_code == 413
        assert ask(client, "model") and ask(client, "model")
        with pytest.raises(openai.RateLimitError) as limited:
            ask(client, "model")
        assert 1 <= int(limited.value.response.headers["Retry-After"]) <= 60


def test_adapters_come_and_go(
    runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By the owner of a key, from below one folder; a running answer is not disturbed."""
    monkeypatch.setenv("TUNEGLM_API_KEY", KEY)
    alone = tuneglm.ChatModel(runs["star"], dtype="float32", device="cpu")
    folder = runs["star"].parent
    with serving(load(MODEL_FOLDER), adapter_folder=str(folder)) as running:
        client = running.client(KEY)
        base = ask(client, "model").choices[0].message.content

        def post(name: str, path: str) -> httpx.Response:
            headers = {"Authorization": f"Bearer {KEY}"}
            sent = {"name": name, "path": path}
            return httpx.post(f"{running.url}/v1/adapters", json=sent, headers=headers, timeout=60)

        for stranger in ({}, {"Authorization": "Bearer another"}):
            sent = {"name": "star", "path": "star"}
            found = httpx.post(
                f"{running.url}/v1/adapters", json=sent, headers=stranger, timeout=60
            )
            assert found.status_code == 401
            gone = httpx.delete(f"{running.url}/v1/adapters/model", headers=stranger, timeout=60)
            assert gone.status_code == 401
        assert [model.id for model in client.models.list()] == ["model"]
        assert post("star", "star").status_code == 201
        assert post("prefix", str(runs["prefix"])).status_code == 201
        assert post("star", "star").status_code == 409
        (tmp_path / "link").mkdir()
        (folder / "out").symlink_to(tmp_path / "link")
        for path in ("..", "/etc", "../..", "out", "none", "\0", "star/adapter_config.json"):
            assert post("other", path).status_code == 400, path
        assert post("other", "").status_code == 400
        assert post("a b", "star").status_code == 400
        assert ask(client, "star").choices[0].message.content == alone.reply(QUESTION, GREEDY)
        ends = {str(token): -100 for token in running.service.served.chat.end_tokens}
        stream = iter(ask(client, "star", stream=True, max_tokens=60, logit_bias=ends))
        next(stream)
        headers = {"Authorization": f"Bearer {KEY}"}
        gone = httpx.delete(f"{running.url}/v1/adapters/star", headers=headers, timeout=60)
        assert gone.json() == {"id": "star", "object": "model", "deleted": True}
        assert list(stream)[-1].choices[0].finish_reason == "length"
        with pytest.raises(openai.NotFoundError):
            ask(client, "star")
        stays = httpx.delete(f"{running.url}/v1/adapters/model", headers=headers, timeout=60)
        assert stays.status_code == 400
        assert ask(client, "prefix").choices
        assert ask(client, "model").choices[0].message.content == base
        assert post("star", "star").status_code == 201
        assert ask(client, "star").choices[0].message.content == alone.reply(QUESTION, GREEDY)


def test_adapters_are_not_for_strangers(running: Running) -> None:
    sent = {"name": "x", "path": "star"}
    assert httpx.post(f"{running.url}/v1/adapters", json=sent).status_code == 403
    assert httpx.delete(f"{running.url}/v1/adapters/prefix").status_code == 403
