"""Code that was written for the official models runs on what `load_pretrained` gives."""

from itertools import pairwise
from typing import Any

import pytest
import torch

from tuneglm.demo import model_folder
from tuneglm.errors import ConfigError
from tuneglm.original import official
from tuneglm.original.house import House
from tuneglm.original.pretrained import ModelArguments, load, loader

QUESTION = "你是谁？"


@pytest.fixture(scope="module", params=["chatglm", "chatglm3"])
def loaded(request: pytest.FixtureRequest) -> tuple[Any, Any, str]:
    """(model, tokenizer, family)."""
    model, tokenizer = load(ModelArguments(), House(str(model_folder(request.param))))
    return model, tokenizer, request.param


def test_an_answer_and_the_history_with_it(loaded: tuple[Any, Any, str]) -> None:
    model, tokenizer, family = loaded
    answer, history = model.chat(tokenizer, QUESTION, history=[], do_sample=False)
    assert answer
    if family == "chatglm":
        assert history == [(QUESTION, answer)]
    else:
        assert history == [
            {"role": "user", "content": QUESTION},
            {"role": "assistant", "metadata": "", "content": answer},
        ]
    again, longer = model.chat(tokenizer, "3+4=?", history=history, max_length=200)
    assert longer[: len(history)] == history and len(longer) == 2 * len(history)
    assert again


def test_the_stream_grows_to_the_answer(loaded: tuple[Any, Any, str]) -> None:
    model, tokenizer, _ = loaded
    given = {"max_length": 100, "top_p": 0.7, "temperature": 0.95, "do_sample": False}
    steps = list(model.stream_chat(tokenizer, QUESTION, [("你好", "你好！")], **given))
    texts = [response for response, _ in steps]
    assert all(later.startswith(sooner) for sooner, later in pairwise(texts))
    whole, _ = model.chat(tokenizer, QUESTION, [("你好", "你好！")], **given)
    assert texts[-1].strip() == whole
    assert steps[-1][1] == [("你好", "你好！"), (QUESTION, texts[-1])]


def test_the_later_demonstration_asks_for_its_cache(loaded: tuple[Any, Any, str]) -> None:
    model, tokenizer, _ = loaded
    stream = model.stream_chat(
        tokenizer, QUESTION, [], past_key_values=None, return_past_key_values=True
    )
    for response, history, past_key_values in stream:
        assert response is not None and history and past_key_values is None
        break


def test_max_length_counts_the_prompt(loaded: tuple[Any, Any, str]) -> None:
    model, tokenizer, _ = loaded
    short, _ = model.chat(tokenizer, QUESTION, max_length=1, do_sample=False)
    whole, _ = model.chat(tokenizer, QUESTION, do_sample=False)
    assert len(short) < len(whole) and whole.startswith(short)


def test_generate_is_transformers_own(loaded: tuple[Any, Any, str]) -> None:
    model, tokenizer, _ = loaded
    inputs = tokenizer.apply_chat_template(
        [{"role": "user", "content": QUESTION}],
        add_generation_prompt=True,
        return_tensors="pt",
        return_dict=True,
    )
    drawn = model.generate(**inputs, max_new_tokens=20, do_sample=False)
    answer = tokenizer.decode(drawn[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    assert answer.strip() == model.chat(tokenizer, QUESTION, do_sample=False)[0]


def test_half_and_cuda_without_a_gpu(
    loaded: tuple[Any, Any, str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    model, _, _ = loaded
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    dtype = model.dtype
    if model.device.type == "cuda":
        pytest.skip("there is a GPU")
    assert model.half().cuda().eval() is model
    assert model.dtype == dtype
    assert "half() is passed over" in caplog.text and "no GPU" in caplog.text


def test_half_on_a_gpu_does_not_overflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """The weights are float16, and computed with so that nothing passes its range."""
    model, _ = load(ModelArguments(), House(str(model_folder("chatglm"))))
    called: list[Any] = []
    monkeypatch.setattr(official, "compute_in_float16", called.append)
    monkeypatch.setattr(type(model), "device", torch.device("cuda"))
    assert model.half() is model
    assert model.dtype == torch.float16 and called == [model]


def test_what_cannot_be_had_is_said(loaded: tuple[Any, Any, str]) -> None:
    model, tokenizer, _ = loaded
    for words in ({"num_beams": 2}, {"penalty": 1}):
        with pytest.raises(ConfigError, match=next(iter(words))):
            model.chat(tokenizer, QUESTION, **words)
    with pytest.raises(ConfigError, match="not one that is trained"):
        loader("x")(ModelArguments(), is_trainable=True)
