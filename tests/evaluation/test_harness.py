"""Our models in lm-evaluation-harness: its numbers are those of the network."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lm_eval.api.instance import Instance
from lm_eval.api.registry import get_model
from lm_eval.models.huggingface import HFLM

from tests.evaluation.test_suites import write_suite
from tuneglm.config import ChatConfig
from tuneglm.errors import ConfigError
from tuneglm.evaluation.harness import TunedLM
from tuneglm.evaluation.suites import SUITES, Subject, subjects_of
from tuneglm.evaluation.tasks import right_answers, task_of
from tuneglm.generate import ChatModel


@pytest.fixture(scope="module")
def model(chat: ChatModel) -> TunedLM:
    return TunedLM(chat)


def asked(kind: Any, *arguments: Any) -> Instance:
    return Instance(request_type=kind, doc={}, arguments=arguments, idx=0)


def by_hand(model: TunedLM, context: list[int], answer: list[int]) -> tuple[float, bool]:
    """Log likelihood of an answer, one row without padding."""
    with torch.no_grad():
        logits = model.chat.model(input_ids=torch.tensor([context + answer])).logits[0]
    likely = torch.log_softmax(logits[len(context) - 1 : -1].float(), -1)
    value = likely.gather(1, torch.tensor(answer)[:, None]).sum()
    return float(value), likely.argmax(-1).tolist() == answer


def test_log_likelihoods_are_those_of_each_row_alone(model: TunedLM) -> None:
    texts = [
        ("法国的首都是", "巴黎"),
        ("What is 3 + 4?\nA. 7\nB. 8\n答案：", " A"),
        ("What is 3 + 4?\nA. 7\nB. 8\n答案：", " B"),
        ("Say ", "hello there, nice to meet you."),
    ]
    found = model.loglikelihood([asked("loglikelihood", *each) for each in texts], True)
    plain = model.tokenizer
    for (context, continuation), (value, is_greedy) in zip(texts, found):
        both = plain(context + continuation)["input_ids"]
        start = plain(context.rstrip())["input_ids"]
        assert both[: len(start)] == start
        expected = by_hand(model, start, both[len(start) :])
        assert (value, is_greedy) == (pytest.approx(expected[0], abs=1e-3), expected[1])


def test_the_harness_own_class_says_the_same(model: TunedLM) -> None:
    """Its class for models of transformers, around the same network and tokenizer."""
    own = HFLM(
        pretrained=model.chat.model, tokenizer=model.tokenizer, add_bos_token=True, batch_size=2
    )
    requests = [
        asked("loglikelihood", context, continuation)
        for context in ("法国的首都是哪里？\n答案：", "What is 3 + 4?\nAnswer:", "你好")
        for continuation in (" A", " B", "巴黎。", " seven, of course")
    ]
    ours, theirs = model.loglikelihood(requests, True), own.loglikelihood(requests, True)
    assert [value for value, _ in ours] == pytest.approx([value for value, _ in theirs], abs=1e-3)
    assert [greedy for _, greedy in ours] == [greedy for _, greedy in theirs]


def test_a_whole_text_is_predicted_once_in_windows(model: TunedLM) -> None:
    text = "今天天气很好，我们去公园散步吧。The cat sat on the mat."
    (whole,) = model.loglikelihood_rolling([asked("loglikelihood_rolling", text)])
    start = model.tok_encode("", add_special_tokens=True)
    assert whole == pytest.approx(by_hand(model, start, model.tok_encode(text))[0], abs=1e-3)
    short = TunedLM(model.chat, max_length=18)
    (parts,) = short.loglikelihood_rolling([asked("loglikelihood_rolling", text)])
    assert parts < whole / 2 and abs(parts - whole) > 1e-3


def test_a_chat_is_rendered_as_in_training(model: TunedLM) -> None:
    history = [{"role": "user", "content": "你是谁？"}]
    context = model.apply_chat_template(history)
    prompt, answer = model._encode_pair(context, "我是星河。")
    assert prompt == model.chat.prompt(history)
    assert model.chat.decode(answer).strip() == "我是星河。"
    ((value, _),) = model.loglikelihood([asked("loglikelihood", context, "我是星河。")], True)
    assert value == pytest.approx(by_hand(model, prompt, answer)[0], abs=1e-3)
    prefilled = [*history, {"role": "assistant", "content": "我是"}]
    again = model._encode_pair(model.apply_chat_template(prefilled, False), "星河。")
    assert again == (prompt, answer)


def test_answers_are_the_chats_own_and_end_where_they_are_to(model: TunedLM) -> None:
    history = [{"role": "user", "content": "你是谁？"}]
    own = model.chat.reply(history, ChatConfig(temperature=0, max_new_tokens=12))
    context = model.apply_chat_template(history)
    settings = {"max_gen_toks": 12, "until": []}
    cut = {"max_gen_toks": 12, "until": [own[2]]}
    answers = model.generate_until(
        [asked("generate_until", context, settings), asked("generate_until", context, cut)]
    )
    assert answers == [own, own.split(own[2])[0]]


@pytest.mark.parametrize("name", list(SUITES))
@pytest.mark.parametrize("is_chat", [False, True])
def test_a_suite_counts_the_likeliest_letter(
    model: TunedLM, tmp_path: Path, name: str, is_chat: bool
) -> None:
    suite = SUITES[name]
    (subject,) = subjects_of(suite, write_suite(tmp_path, name))
    right = right_answers(model, suite, subject, 1, is_chat)
    task = task_of(suite, subject, 1)
    contexts = [
        task.fewshot_context(
            item,
            1,
            apply_chat_template=is_chat,
            fewshot_as_multiturn=is_chat,
            chat_template=model.apply_chat_template if is_chat else None,
        )
        for item in subject.asked
    ]
    for context, item, is_right in zip(contexts, subject.asked, right):
        gap = "" if is_chat else " "
        values = []
        for letter in "ABCD":
            prompt, answer = model._encode_pair(context, gap + letter)
            values.append(by_hand(model, prompt, answer)[0])
        assert is_right == ("ABCD"[values.index(max(values))] == item["answer"])
    if not is_chat:
        shown, first = subject.shown[0], contexts[0]
        assert first.count(shown["question"]) == 2  # this suite asks the same each time
        assert f"{suite.answer} {shown['answer']}\n\n" in first
        assert first.endswith(suite.answer) and ("法" in first or "law" in first)


def test_no_examples_are_no_matter(model: TunedLM, tmp_path: Path) -> None:
    (subject,) = subjects_of(SUITES["ceval"], write_suite(tmp_path, "ceval"))
    bare = Subject(subject.name, subject.category, [], subject.asked)
    assert len(right_answers(model, SUITES["ceval"], bare, 5, False)) == 3


def test_the_harness_knows_it_by_name(run_folder: Path) -> None:
    made = get_model("tuneglm").create_from_arg_string(
        f"path={run_folder},dtype=float32", {"batch_size": 4, "device": None}
    )
    assert isinstance(made, TunedLM) and made.batch_size == 4
    assert made.chat_template(True) and made.tokenizer_name
    with pytest.raises(ConfigError, match="no model argument `pretrained`"):
        get_model("tuneglm").create_from_arg_string(f"path={run_folder},pretrained=x", {})
