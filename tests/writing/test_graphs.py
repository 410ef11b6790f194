"""Steps that are recorded once and started again: the same answers, whatever comes and goes.

A processor has no graphs. What stands in for one is the step's operations as they were when it
was recorded, on the tensors that they had then: as a GPU's, it knows nothing of what Python does
later.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from tests.methods.cells import base_of, load, train, tuned
from tests.writing.test_batch import GREEDY, check, prompts, slots_of, written
from tuneglm.config import ChatConfig
from tuneglm.demo import model_folders
from tuneglm.errors import DataError
from tuneglm.generate import ChatModel
from tuneglm.models import family_named
from tuneglm.models.named_adapters import NamedAdapters
from tuneglm.writing import alone as alone_module
from tuneglm.writing import batch as batch_module
from tuneglm.writing import graphs as graphs_module
from tuneglm.writing.alone import Alone
from tuneglm.writing.batch import Batch
from tuneglm.writing.fitting import fits_slots, kept_shapes
from tuneglm.writing.graphs import Graphs, Step, can_be_recorded
from tuneglm.writing.places import place
from tuneglm.writing.row import Row


class Recorder:
    """Records operations and tensors, and counts."""

    def __init__(self) -> None:
        self.recorded = self.replayed = 0

    def __call__(self, step: Step, state: Tensor) -> Callable[[], Tensor]:
        self.recorded += 1
        # a GPU's recording is warmed up as well
        step(state)
        operations: Any = make_fx(step)(state)

        def replay() -> Tensor:
            self.replayed += 1
            logits: Tensor = operations(state)
            return logits

        return replay


@pytest.mark.parametrize("family", ["chatglm", "chatglm3", "native"])
def test_recorded_steps_write_what_the_model_alone_writes(
    family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of unlike lengths that join and leave; few columns, so that recordings change."""
    monkeypatch.setattr(graphs_module, "MET", 1)
    monkeypatch.setattr(batch_module, "COLUMNS", 32)
    model, record = load(base_of(family, tmp_path), family), family_named(family)
    rows = [Row(prompt, 4 + number % 5, GREEDY, "base") for number, prompt in enumerate(prompts())]
    for row in rows:
        place(row, model.config, record)
    recorder = Recorder()
    batch = Batch(model, NamedAdapters(model, {}, record), slots_of(model, 4, 80), Graphs(recorder))
    written(batch, rows, joining=2)
    for row in rows:
        check(row, model)
    assert recorded_columns(batch) > 1, "rows of 66 tokens see more than 32 columns"
    assert recorder.replayed > recorder.recorded


def recorded_columns(batch: Batch) -> int:
    assert batch._graphs is not None
    return len({columns for _, _, columns, _ in batch._graphs._graphs})


def test_an_adapter_that_has_gone_answers_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one comes under its name: a step that was recorded with the first is not its."""
    monkeypatch.setattr(graphs_module, "MET", 1)
    base, record = base_of("chatglm2", tmp_path), family_named("chatglm2")
    for name, rank in (("first", 4), ("second", 2)):
        trained = tuned(base, "chatglm2", "lora", f"method.rank={rank}")
        train(trained, 1e-1)
        trained.model.save_pretrained(tmp_path / name)
    model = load(base, "chatglm2")
    adapters = NamedAdapters(model, {"mine": tmp_path / "first"}, record)
    graphs = Graphs(Recorder())
    batch = Batch(model, adapters, slots_of(model, 2, 80), graphs)

    def answer() -> Row:
        row = Row(prompts()[1], 6, GREEDY, "mine")
        place(row, model.config, record)
        written(batch, [row])
        return row

    check(answer(), load(tmp_path / "first", "chatglm2"))
    assert len(graphs) > 0
    adapters.remove("mine")
    adapters.add("mine", tmp_path / "second")
    batch.adapters_changed()
    check(answer(), load(tmp_path / "second", "chatglm2"))


def test_each_adapter_has_its_own_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LoRA of two, a prefix and the base take turns, over the same slots and columns."""
    monkeypatch.setattr(graphs_module, "MET", 1)
    base, record = base_of("chatglm2", tmp_path), family_named("chatglm2")
    methods = {"one": ("lora",), "two": ("lora",), "prefix": ("p_tuning", "method.length=5")}
    for name, (method, *settings) in methods.items():
        trained = tuned(base, "chatglm2", method, *settings)
        train(trained, 3e-2 if name == "two" else 1e-1)
        trained.model.save_pretrained(tmp_path / name)
    model = load(base, "chatglm2")
    adapters = NamedAdapters(model, {name: tmp_path / name for name in methods}, record)
    recorder = Recorder()
    batch = Batch(model, adapters, slots_of(model, 2, 80), Graphs(recorder))
    models = {name: load(tmp_path / name, "chatglm2") for name in methods}
    models["base"] = load(base, "chatglm2")
    for name in ("one", "base", "two", "prefix", "one", "prefix", "base"):
        row = Row(prompts()[1], 5, GREEDY, name)
        place(row, model.config, record)
        written(batch, [row])
        check(row, models[name])
    assert recorder.recorded == len(models), "what comes back is not recorded again"


def test_the_trial_leaves_the_adapter_that_answers(tmp_path: Path) -> None:
    """On a GPU it is made when the first answer is asked for."""
    trained = tuned(base_of("chatglm2", tmp_path), "chatglm2", "lora")
    train(trained, 1e-1)
    trained.model.save_pretrained(tmp_path / "mine")
    model, record = load(base_of("chatglm2", tmp_path), "chatglm2"), family_named("chatglm2")
    adapters = NamedAdapters(model, {"mine": tmp_path / "mine"}, record)
    adapters.choose("mine")
    shapes = kept_shapes(model, prompts()[0])
    assert fits_slots(model, adapters, record, shapes, prompts()[0])
    assert adapters.chosen == ("mine",)


def test_a_step_is_recorded_once_it_comes_back_and_the_oldest_goes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(graphs_module, "MOST", 2)
    recorder = Recorder()
    graphs = Graphs(recorder)
    for key in "aaabbbcccccaaa":
        state = torch.tensor([[float(ord(key))]])
        assert graphs.run(key, lambda given: given * 2, state) == 2 * ord(key)
    # of three that it is met, the last is recorded; `a` had to go, and begins anew
    assert recorder.recorded == 4
    assert recorder.replayed == 1 + 1 + 3 + 1
    assert len(graphs) == graphs_module.MOST


def test_many_rows_are_not_recorded() -> None:
    recorder = Recorder()
    graphs = Graphs(recorder)
    for _ in range(5):
        graphs.run(0, lambda given: given, torch.zeros(graphs_module.ROWS + 1, 3))
    assert recorder.recorded == 0


def test_what_cannot_be_recorded_is_computed() -> None:
    """A network that asks for a number in the middle of a step: it is not tried again."""
    tries = []

    def refuse(step: Step, state: Tensor) -> Callable[[], Tensor]:
        tries.append(1)
        raise RuntimeError("operation not permitted when stream is capturing")

    graphs = Graphs(refuse)
    for number in range(6):
        assert graphs.run(0, lambda given: given + 1, torch.tensor([number])) == number + 1
    assert len(tries) == 1


def test_processors_record_nothing() -> None:
    chat = ChatModel(model_folders()["chatglm3"], dtype="float32", device="cpu")
    assert not can_be_recorded(chat.model) and chat._own_slot() is None


@pytest.mark.parametrize("family", ["chatglm3", "chatglm"])
def test_a_conversation_on_a_gpu_goes_as_on_a_processor(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several turns in one slot, which has to grow in the middle of an answer and of a prompt."""
    monkeypatch.setattr(alone_module, "SMALLEST", 16)
    monkeypatch.setattr(alone_module, "COLUMNS", 8)
    usual = ChatModel(model_folders()[family], dtype="float32", device="cpu")
    chat, recorder = recording(family, monkeypatch)
    config = ChatConfig(temperature=0, max_new_tokens=10)
    for question in ("你是谁？", "3+4=", "法国的首都是哪里？" * 6):
        assert chat.reply(said(question), config) == usual.reply(said(question), config)
    assert recorder.replayed > recorder.recorded > 1
    assert chat._alone is not None
    grown = chat._alone._slots.capacity
    assert chat.reply(said("hello"), config) == usual.reply(said("hello"), config)
    assert chat._alone._slots.capacity < grown, "what a long question took is given back"
    longest = ChatConfig(temperature=0, max_new_tokens=3, system="Be brief.")
    assert chat.reply(said("hello"), longest) == usual.reply(said("hello"), longest)


def test_a_seed_gives_one_answer_and_a_reader_may_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    chat, _ = recording("chatglm3", monkeypatch)
    free: dict[str, Any] = {"temperature": 5.0, "top_p": 1.0, "max_new_tokens": 12}
    first = chat.reply(said("hello"), ChatConfig(**free, seed=1))
    pieces = chat.stream(said("hello"), ChatConfig(**free, seed=2))
    next(pieces)
    pieces.close()
    assert chat.reply(said("hello"), ChatConfig(**free, seed=1)) == first
    assert chat.reply(said("hello"), ChatConfig(**free, seed=2)) != first


def test_two_readers_at_once_have_their_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The slot is one answer's; another that comes meanwhile is written in the usual way."""
    usual = ChatModel(model_folders()["chatglm3"], dtype="float32", device="cpu")
    chat, _ = recording("chatglm3", monkeypatch)
    config = ChatConfig(temperature=0, max_new_tokens=12)
    first = chat.stream(said("hello"), config)
    begun = next(first)
    assert chat.reply(said("3+4="), config) == usual.reply(said("3+4="), config)
    assert begun + "".join(first) == usual.reply(said("hello"), config)
    with pytest.raises(DataError):
        chat.reply(said("hello " * 600), config)
    assert chat.reply(said("hello"), config) == usual.reply(said("hello"), config)


def recording(family: str, monkeypatch: pytest.MonkeyPatch) -> tuple[ChatModel, Recorder]:
    """A chat that writes as on a GPU, whose graphs are recorded by what stands in for one."""
    recorder = Recorder()
    monkeypatch.setattr(graphs_module, "MET", 1)
    monkeypatch.setattr(graphs_module, "_Recorder", lambda: recorder)
    monkeypatch.setattr(batch_module, "can_be_recorded", lambda model: True)
    chat = ChatModel(model_folders()[family], dtype="float32", device="cpu")
    shapes = kept_shapes(chat.model, chat.prompt(said("1 2 3")))
    chat._alone = Alone(chat.model, chat.adapters, chat.family, shapes)
    chat._may_be_alone = False
    return chat, recorder


def said(question: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": question}]
