"""A batch run in portions: each row once, the same sums, and the bits of a batch by itself."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import peft
import pytest
import torch
from torch import Tensor, nn
from transformers import TrainingArguments

from tests.conftest import Configure
from tests.parity.test_batching import PAD, assert_alike, gradients_of, network
from tests.parity.test_batching import rows as rows_of
from tests.test_training import adapter_of
from tuneglm.data.collate import collate, concatenate
from tuneglm.data.encoded import UNTRAINED, Encoded
from tuneglm.method_config import FullConfig, LoraConfig, MethodConfig, PTuningConfig
from tuneglm.methods import tune
from tuneglm.methods.tuned import Tuned
from tuneglm.models import family_named
from tuneglm.models.attention import keep_rows_apart
from tuneglm.models.products import EVEN
from tuneglm.stages.portions import added_up_apart, evened, parted, portions
from tuneglm.stages.sft import SftTrainer
from tuneglm.training import train


def rows(*lengths: int) -> list[Encoded]:
    """Rows whose ids say which row they are of."""
    made = []
    for number, length in enumerate(lengths, 1):
        ids = [100 * number + place for place in range(length)]
        replay = number % 2 == 0
        made.append(Encoded(ids, [-100, *ids[1:]], [False] * length, replay=replay))
    return made


def real(batch: dict[str, Tensor]) -> list[list[int]]:
    """The ids of each row, without padding."""
    if "row_lengths" in batch:
        lengths = batch["row_lengths"][0].tolist()
        return [each.tolist() for each in batch["input_ids"][0].split(lengths)]
    pairs = zip(batch["input_ids"], batch["attention_mask"], strict=True)
    return [ids[mask.bool()].tolist() for ids, mask in pairs]


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("tokens", [1, 12, 20, 1000])
def test_each_row_is_in_one_portion_with_all_that_belongs_to_it(packed: bool, tokens: int) -> None:
    given = rows(7, 20, 3, 12, 9)
    batch = concatenate(given) if packed else collate(given, pad_token_id=0)
    parts = portions(batch, tokens)
    seen = sorted(row for part in parts for row in real(part))
    assert seen == [each.input_ids for each in given]
    for part in parts:
        assert part.keys() == batch.keys()
        assert part["input_ids"].numel() <= max(tokens, 20)
        trained = part["labels"] != -100
        assert torch.equal(part["labels"][trained], part["input_ids"][trained])
        is_replay = part["input_ids"] // 100 % 2 == 0
        is_real = part["input_ids"] > 0
        assert torch.equal(part["replay"][is_real] > 0, is_replay[is_real])


def test_portions_are_as_full_as_can_be() -> None:
    assert parted([7, 20, 3, 12, 9], 20) == [[0, 3], [1], [2, 4]]


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("lengths", [(7, 20, 3, 12, 9), (17,), (16, 16), (8, 8, 8)])
def test_what_makes_a_portion_even_is_never_trained(packed: bool, lengths: tuple[int, ...]) -> None:
    given = rows(*lengths)
    batch = concatenate(given) if packed else collate(given, pad_token_id=0)
    even = evened(batch, 16)
    assert even.keys() == batch.keys() and even["input_ids"].shape[-1] % 16 == 0
    trained = even["labels"] != -100
    # of a pack a row's first token is not trained, of padded rows none is asked of it either
    assert trained.sum() == (batch["labels"] != -100).sum()
    assert torch.equal(even["labels"][trained], even["input_ids"][trained])
    for row, made in zip(given, real(even), strict=True):
        assert made[: row.length] == row.input_ids
        assert packed or made == row.input_ids


def test_no_row_is_made_longer_than_a_model_may_know_positions() -> None:
    batch = concatenate(rows(15, 14, 15))
    assert torch.equal(evened(batch, 16)["input_ids"], batch["input_ids"][:, :44])
    assert evened(concatenate(rows(15, 14, 15, 3)), 16)["row_lengths"].tolist() == [[15, 14, 15, 4]]


def test_gradients_of_a_batch_are_added_up_apart_from_earlier_ones() -> None:
    layer = nn.Linear(1, 1, bias=False)
    layer.weight.grad = torch.tensor([[2.0**24]])
    with added_up_apart(layer):
        for _ in range(2):
            (layer.weight * 1.0).sum().backward()
    # one by one each would be lost in the rounding
    assert layer.weight.grad.item() == 2.0**24 + 2


METHODS: list[MethodConfig] = [
    LoraConfig(targets=("all",)),
    FullConfig(),
    PTuningConfig(length=6, dropout=0.0),
]


def accumulated(
    model: Any, batches: Sequence[dict[str, Tensor]], at_once: int | None, folder: Path
) -> tuple[float, dict[str, Tensor], list[int]]:
    """Loss and gradients of a step of several batches, and how wide their portions were."""
    arguments = TrainingArguments(str(folder), use_cpu=True, report_to="none")
    trainer = SftTrainer(Tuned(model), at_once=at_once, args=arguments)
    compute = Mock(wraps=trainer.compute_loss)
    trainer.compute_loss = compute  # type: ignore[method-assign]
    count = sum((each["labels"][:, 1:] != UNTRAINED).sum() for each in batches)
    model.zero_grad()
    loss = sum(trainer.training_step(model, each, num_items_in_batch=count) for each in batches)
    widths = [call.args[1]["input_ids"].shape[-1] for call in compute.mock_calls]
    return float(loss), gradients_of(model), widths


@pytest.mark.parametrize("packed", [True, False], ids=["packed", "padded"])
@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
@pytest.mark.parametrize("name", ["chatglm", "chatglm2", "native glm4_moe"])
def test_gradients_of_a_step_in_portions_are_those_of_the_whole(
    name: str, method: MethodConfig, packed: bool, tmp_path: Path
) -> None:
    """Two batches of several rows, each cut, and each portion made even."""
    torch.manual_seed(0)
    family = family_named(name if " " not in name else "native")
    base = network(name)
    keep_rows_apart(base, family.place_rows)
    model = tune(base, method, family).model
    for parameter, weight in model.named_parameters():
        # zero, it would let no gradient reach the other half of an adapter
        if "lora_B" in parameter:
            nn.init.normal_(weight, std=0.1)
    given = rows_of(name)
    batches = [
        concatenate(each) if packed else collate(each, pad_token_id=PAD)
        for each in (given[:4], given[4:])
    ]
    loss, gradients, whole = accumulated(model, batches, None, tmp_path)
    cut_loss, cut_gradients, cut = accumulated(model, batches, 40, tmp_path)
    assert len(whole) == 2 and len(cut) > 3
    assert any(width % EVEN["cpu"] for width in whole)
    assert not any(width % EVEN["cpu"] for width in cut)
    assert cut_loss == pytest.approx(loss, rel=1e-5)
    assert_alike(cut_gradients, gradients)


@pytest.mark.parametrize("batching", ["auto", "padded"])
@pytest.mark.parametrize("method", ["lora", "freeze"])
def test_a_run_in_portions_learns_the_same(
    configure: Configure, tmp_path: Path, batching: str, method: str
) -> None:
    settings = [
        f"data.batching={batching}",
        f"method={method}",
        "training.per_device_train_batch_size=4",
        "training.max_steps=3",
    ]
    whole, parts = (
        train(configure(tmp_path / str(tokens), *settings, f"data.tokens_at_once={tokens}"))
        for tokens in (100_000, 30)
    )
    assert whole.loss == pytest.approx(parts.loss, rel=1e-5)


def test_modules_are_in_the_mode_of_what_is_done(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the model is walked through only where its mode changes, not for each portion."""
    seen, walks = [], []
    train_module = nn.Module.train

    def loss_seen(self: SftTrainer, model: nn.Module, *given: Any, **named: Any) -> Any:
        modes = {module.training for module in model.modules()}
        seen.append((torch.is_grad_enabled(), modes))
        return compute_loss(self, model, *given, **named)

    def walked(self: nn.Module, mode: bool = True) -> nn.Module:
        walks.append(self)
        return train_module(self, mode)

    held = tmp_path / "held.json"
    held.write_text(json.dumps([{"instruction": "Who?", "output": "Nobody."}]))
    compute_loss = SftTrainer.compute_loss
    monkeypatch.setattr(SftTrainer, "compute_loss", loss_seen)
    settings = (
        "training.per_device_train_batch_size=4",
        "training.max_steps=4",
        "training.eval_strategy=steps",
        "training.eval_steps=2",
        f"data.evaluation={held}",
        "data.tokens_at_once=30",
    )
    config = configure(tmp_path / "run", *settings)
    monkeypatch.setattr(nn.Module, "train", walked)
    train(config)
    assert {(trains, mode) for trains, modes in seen for mode in modes} == {
        (True, True),
        (False, False),
    }
    adapter = next(each for each in walks if isinstance(each, peft.PeftModel))
    portions_run = sum(trains for trains, _ in seen)
    assert portions_run > 12 > walks.count(adapter)


def test_an_adapter_learnt_without_padding_is_the_one_learnt_with_it(
    configure: Configure, tmp_path: Path
) -> None:
    few = ["training.per_device_train_batch_size=4", "training.max_steps=3"]
    for batching in ("auto", "padded"):
        train(configure(tmp_path / batching, f"data.batching={batching}", *few))
    one, other = (adapter_of(tmp_path / batching) for batching in ("auto", "padded"))
    for name, weight in one.items():
        # of a gradient that is next to nothing the optimizer makes a whole step all the same
        assert (weight - other[name]).norm() < 1e-3 * weight.norm(), name
