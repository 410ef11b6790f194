"""The models of a conversation: few are held, one answers at a time, base beside tuned."""

from pathlib import Path

import pytest

from tests.conftest import Configure
from tuneglm import ChatModel, train
from tuneglm.config import ChatConfig
from tuneglm.demo import MODEL_FOLDER
from tuneglm.errors import ModelError
from tuneglm.web.talk import Models, turns

GREEDY = ChatConfig(temperature=0, max_new_tokens=12)
QUESTION = [{"role": "user", "content": "你是谁？"}]


@pytest.fixture(scope="module")
def lora(tmp_path_factory: pytest.TempPathFactory, configure: Configure) -> str:
    folder = tmp_path_factory.mktemp("runs") / "lora"
    train(configure(folder, "method.targets=all", "training.max_steps=40"))
    return str(folder)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory, configure: Configure) -> str:
    folder = tmp_path_factory.mktemp("runs") / "full"
    train(configure(folder, "method=full", "training.learning_rate=0.001"))
    return str(folder)


def alone(path: str | Path) -> str:
    return ChatModel(path).reply(QUESTION, GREEDY)


@pytest.mark.parametrize("kind", ["lora", "full"])
def test_base_and_tuned_answer_as_they_do_alone(kind: str, request: pytest.FixtureRequest) -> None:
    path, models, base = request.getfixturevalue(kind), Models(), str(MODEL_FOLDER)
    expected = {None: alone(path), base: alone(base)}
    assert expected[None] != expected[base]
    for asked in (None, base, base, None):
        answer = "".join(models.stream(path, QUESTION, GREEDY, base=asked))
        assert answer == expected[asked]
    # an adapter shares the base's weights; whole weights are a second model
    assert len(models.held) == (1 if kind == "lora" else 2)


def test_no_more_than_two_are_held(lora: str, full: str) -> None:
    models = Models()
    for path in (lora, full, str(MODEL_FOLDER), full):
        next(iter(models.stream(path, QUESTION, GREEDY)))
    assert models.held == (str(MODEL_FOLDER), full)


def test_an_answer_that_nobody_reads_on_makes_way(full: str) -> None:
    models = Models()
    reading = models.stream(full, QUESTION, GREEDY)
    next(reading)
    reading.close()
    assert "".join(models.stream(full, QUESTION, GREEDY)) == alone(full)


def test_a_model_that_cannot_be_loaded_leaves_the_others_usable(full: str, tmp_path: Path) -> None:
    models = Models()
    with pytest.raises(ModelError):
        next(models.stream(str(tmp_path), QUESTION, GREEDY))
    assert "".join(models.stream(full, QUESTION, GREEDY))


def test_what_the_page_keeps_of_a_conversation_is_read_again() -> None:
    history = [
        {"role": "user", "content": [{"type": "text", "text": "a"}], "metadata": None},
        {"role": "assistant", "content": "b", "options": []},
    ]
    assert turns(history) == [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
    ]
