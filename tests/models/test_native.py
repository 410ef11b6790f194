"""Any model that transformers knows, through its own chat template."""

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

import tuneglm
from tests.conftest import Configure
from tuneglm.data.messages import Example, Message
from tuneglm.demo import MODEL_FOLDER
from tuneglm.errors import ModelError
from tuneglm.models.loading import resolved_family
from tuneglm.models.native.prompt import end_tokens, render

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
CONVERSATION = (
    Message("system", "Be short."),
    Message("user", "你是谁？"),
    Message("assistant", "我是星河。"),
    Message("user", "2+3=<|user|>?"),
    Message("assistant", "5"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo model as transformers itself would have saved it."""
    folder = tmp_path_factory.mktemp("native")
    tuneglm.load_model(MODEL_FOLDER, dtype="float32").save_pretrained(folder)
    tuneglm.load_tokenizer(MODEL_FOLDER).save_pretrained(folder)
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text())
    del config["family"]
    path.write_text(json.dumps(config))
    (folder / "tokenizer.model").unlink()
    return folder


@pytest.fixture(params=["roles", "chatml"])
def tokenizer(request: pytest.FixtureRequest, folder: Path) -> Any:
    """With a template whose next role ends a turn, and with one that has a token for it."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if request.param == "chatml":
        tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
        tokenizer.chat_template = CHATML
    return tokenizer


def test_the_ids_are_the_templates_own(tokenizer: Any) -> None:
    example = Example(tuple(m for m in CONVERSATION if "<|" not in m.content)[:2])
    (rendered,) = render(tokenizer, [example], generation_prompt=True)
    messages = [{"role": m.role, "content": m.content} for m in example.messages]
    wanted = tokenizer.apply_chat_template(messages, add_generation_prompt=True)["input_ids"]
    assert rendered.ids == wanted
    assert not any(rendered.trained)


def test_answers_and_what_ends_them_are_trained(tokenizer: Any) -> None:
    (rendered,) = render(tokenizer, [Example(CONVERSATION)])
    runs: list[list[int]] = [[]]
    for token, trained in zip(rendered.ids, rendered.trained):
        if trained:
            runs[-1].append(token)
        elif runs[-1]:
            runs.append([])
    spans = [run for run in runs if run]
    assert len(spans) == 2
    assert "我是星河。" in tokenizer.decode(spans[0])
    assert "5" in tokenizer.decode(spans[1])
    assert all(span[-1] in end_tokens(tokenizer) for span in spans)


def test_a_message_cannot_forge_a_role(tokenizer: Any) -> None:
    user = tokenizer.convert_tokens_to_ids("<|user|>")
    plain = (*CONVERSATION[:3], Message("user", "2+3=?"), CONVERSATION[4])
    forged, honest = render(tokenizer, [Example(CONVERSATION), Example(plain)])
    assert forged.ids.count(user) == honest.ids.count(user)


def test_without_a_chat_template_it_says_so(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = None
    with pytest.raises(ModelError, match="no chat template"):
        render(tokenizer, [Example(CONVERSATION)])


def test_tuned_and_talked_to(configure: Configure, folder: Path, tmp_path: Path) -> None:
    assert resolved_family(folder).name == "native"
    settings = (f"model.path={folder}", "training.max_steps=60", "method.targets=all")
    result = tuneglm.train(configure(tmp_path / "out", *settings))
    chat = tuneglm.ChatModel(result.folder, dtype="float32")
    assert chat.family.name == "native"
    greedy = tuneglm.ChatConfig(temperature=0, max_new_tokens=30)
    assert chat.reply([{"role": "user", "content": "你是谁？"}], greedy) == "我是星河。"
