"""Rows in company write what they write alone: every family, adapters, pieces of long prompts."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from tests.methods.cells import base_of, load, train, tuned
from tuneglm.api.room import batch_for
from tuneglm.config import ChatConfig
from tuneglm.demo import model_folders
from tuneglm.generate import ChatModel
from tuneglm.models import family_named
from tuneglm.models.named_adapters import NamedAdapters
from tuneglm.serve_config import ServeConfig
from tuneglm.writing import batch as batch_module
from tuneglm.writing.apart import Apart
from tuneglm.writing.arranging import in_order, moves_to
from tuneglm.writing.batch import Batch
from tuneglm.writing.places import place
from tuneglm.writing.row import Row, Sampling
from tuneglm.writing.slots import Slots, layer_shapes

# bos and gmask of the small models of the first family stand at the end of a context
END = [501, 504]
GREEDY = Sampling(temperature=0, logprobs=0)
LENGTHS = (3, 11, 1, 40, 7, 23, 2, 64, 5, 17)
ADAPTERS: Mapping[str, tuple[str, ...]] = {
    "lora": ("lora", "method.rank=4"),
    "other": ("lora", "method.rank=2", "method.targets=all"),
    "prefix": ("p_tuning", "method.length=5", "method.dropout=0"),
    "prompt": ("prompt", "method.length=4"),
}


def prompts() -> list[list[int]]:
    made = torch.Generator().manual_seed(0)
    return [
        [*torch.randint(10, 400, (length,), generator=made).tolist(), *END] for length in LENGTHS
    ]


@torch.inference_mode()
def alone(model: Any, prompt: list[int], count: int) -> tuple[list[int], list[float]]:
    """The answer's tokens, and the log probability of each."""
    ids = torch.tensor([prompt])
    options: Any = {"do_sample": False, "eos_token_id": None, "pad_token_id": 3}
    options |= {"output_logits": True, "return_dict_in_generate": True}
    drawn = model.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=count, **options
    )
    scores = [each.float().log_softmax(-1).max().item() for each in drawn.logits]
    return drawn.sequences[0, len(prompt) :].tolist(), scores


def check(row: Row, model: Any) -> None:
    ids, scores = alone(model, row.prompt, row.longest)
    assert row.ids == ids, row.adapter
    assert [each.logprob for each in row.scores] == pytest.approx(scores, abs=1e-4), row.adapter


@torch.inference_mode()
def slots_of(model: Any, slots: int, capacity: int) -> Slots:
    from transformers import DynamicCache

    cache = DynamicCache()
    model(input_ids=torch.tensor([[20, 21, *END]]), past_key_values=cache, use_cache=True)
    return Slots(layer_shapes(cache), slots, capacity, model.device)


def written(batch: Batch | Apart, rows: Sequence[Row], joining: int = 1) -> None:
    """Rows join, so many a step, and leave when they are full; all of them to their end."""
    waiting = list(rows)
    while waiting or batch.rows:
        for _ in range(joining):
            if waiting and batch.has_room:
                batch.join(waiting.pop(0))
        batch.read()
        for row in batch.write():
            if len(row.ids) == row.longest:
                batch.leave(row)


@pytest.mark.parametrize("family", ["chatglm", "chatglm2", "chatglm3", "glm4", "native"])
@pytest.mark.parametrize("piece", [8, 256])
def test_greedy_answers_are_those_of_the_model_alone(
    family: str, piece: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prompts of unlike lengths, in fewer slots than there are rows, long ones in pieces."""
    monkeypatch.setattr(batch_module, "PIECE", piece)
    model, record = load(base_of(family, tmp_path), family), family_named(family)
    adapters = NamedAdapters(model, {}, record)
    rows = [Row(prompt, 4 + number % 5, GREEDY, "base") for number, prompt in enumerate(prompts())]
    for row in rows:
        place(row, model.config, record)
    batch = Batch(model, adapters, slots_of(model, 4, 80))
    written(batch, rows, joining=2)
    for row in rows:
        check(row, model)


@pytest.mark.parametrize("family", ["chatglm", "chatglm2", "native"])
def test_each_row_has_its_adapter(family: str, tmp_path: Path) -> None:
    """Prefixes and the base share passes, each LoRA has its own; all are in one batch."""
    base, record = base_of(family, tmp_path), family_named(family)
    folders = {}
    for name, (method, *settings) in ADAPTERS.items():
        trained = tuned(base, family, method, *settings)
        train(trained, 1e-1)
        folders[name] = tmp_path / name
        trained.model.save_pretrained(folders[name])
    model = load(base, family)
    adapters = NamedAdapters(model, folders, record)
    names = ("base", *ADAPTERS)
    rows = [
        Row(prompt, 6, GREEDY, names[number % len(names)])
        for number, prompt in enumerate(prompts() + prompts()[:3])
    ]
    for row in rows:
        place(row, model.config, record)
    written(Batch(model, adapters, slots_of(model, 6, 80)), rows, joining=3)
    models = {name: load(folder, family) for name, folder in folders.items()}
    models["base"] = load(base, family)
    for row in rows:
        check(row, models[row.adapter])
    # of one prompt each of them has an opinion of its own
    opinions = {round(alone(model, prompts()[0], 1)[1][0], 3) for model in models.values()}
    assert len(opinions) == len(names)


@pytest.mark.parametrize("family", ["chatglm3", "chatglm"])
def test_the_demo_model_answers_as_chat_does(family: str) -> None:
    """Through all that serving does to make its batch; in company."""
    chat = ChatModel(model_folders()[family], dtype="float32", device="cpu")
    batch, room = batch_for(chat, ServeConfig(slots=3))
    assert isinstance(batch, Batch) and room.slots == 3
    questions = ["你是谁？", "Who are you?", "3+4=", "法国的首都是哪里？" * 20, "hello"]
    said = [[{"role": "user", "content": question}] for question in questions]
    rows = [Row(chat.prompt(each), 24, GREEDY, "base") for each in said]
    for row in rows:
        place(row, chat.model.config, chat.family)
    written(batch, rows)
    config = ChatConfig(temperature=0, max_new_tokens=24)
    for row, each in zip(rows, said):
        assert chat.decode(chat._until_end(row.ids)).lstrip() == chat.reply(each, config)


def test_a_network_with_a_window_is_computed_row_by_row(tmp_path: Path) -> None:
    """What it keeps is no list of all tokens: slots are not for it, and it answers all the same."""
    from transformers import MistralConfig, MistralForCausalLM

    torch.manual_seed(0)
    sizes: Any = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    heads: Any = {"num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 512}
    model = MistralForCausalLM(MistralConfig(**sizes, **heads, sliding_window=8)).eval()
    record = family_named("native")
    adapters = NamedAdapters(model, {}, record)
    rows = [Row(prompt, 5, GREEDY, "base") for prompt in prompts()[:4]]
    for row in rows:
        place(row, model.config, record)
    written(Apart(model, adapters, 2), rows)
    for row in rows:
        check(row, model)
    chat: Any = StandIn(model, adapters)
    assert isinstance(batch_for(chat, ServeConfig(slots=2, context=64))[0], Apart)
    plain = LlamaForCausalLM(LlamaConfig(**sizes, **heads)).eval()
    chat = StandIn(plain, NamedAdapters(plain, {}, record))
    assert isinstance(batch_for(chat, ServeConfig(slots=2, context=64))[0], Batch)


class StandIn:
    """What of a ChatModel a batch is made from."""

    family = family_named("native")

    def __init__(self, model: Any, adapters: NamedAdapters) -> None:
        self.model, self.adapters = model, adapters

    def prompt(self, _: Any) -> list[int]:
        return [20, 21, 22, 23]


def test_moves_bring_neighbours_together() -> None:
    """No row is written over before it moved, in whatever circle they stand."""
    kinds = [2, 0, 1, 0, 2, 1, 0]
    rows = []
    for slot, kind in enumerate(kinds):
        row = Row([1] * (kind + 1), 1, Sampling(), str(kind))
        row.slot = slot
        rows.append(row)

    def key(row: Row) -> tuple[int, str]:
        return 0, row.adapter

    contents: dict[int, Row] = {row.slot: row for row in rows}
    moves = moves_to(rows, key)
    for source, target in in_order(moves, spare=99):
        contents[target] = contents[source]
    for row in rows:
        row.slot = moves.get(row.slot, row.slot)
        assert contents[row.slot] is row
    order = [row.adapter for row in sorted(rows, key=lambda row: row.slot)]
    assert order == sorted(order)
    assert moves_to(rows, key) == {}, "who lies well stays"
