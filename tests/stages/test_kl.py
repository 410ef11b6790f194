"""The distance from the base: its value, its gradient, and on which tokens it is counted."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import log_softmax
from transformers import TrainingArguments

from tests.methods.cells import base_of, tuned
from tuneglm.data.collate import REPLAY, collate, concatenate
from tuneglm.data.encoded import UNTRAINED, Encoded, Replay
from tuneglm.models.attention import keep_rows_apart
from tuneglm.stages.kl import POSITIONS, summed_kl
from tuneglm.stages.sft import SftTrainer


def written_out(tuned: torch.Tensor, base: torch.Tensor) -> torch.Tensor:
    ours, theirs = log_softmax(tuned, -1), log_softmax(base, -1)
    return (theirs.exp() * (theirs - ours)).sum()


def test_it_is_the_sum_and_the_gradient_of_the_equation() -> None:
    torch.manual_seed(0)
    base = torch.randn(POSITIONS + 3, 11)
    ours, plain = (torch.randn(POSITIONS + 3, 11).requires_grad_() for _ in range(2))
    plain.data.copy_(ours.data)
    summed_kl(ours, base).backward()
    written_out(plain, base).backward()
    torch.testing.assert_close(summed_kl(ours, base), written_out(plain, base))
    torch.testing.assert_close(ours.grad, plain.grad)
    assert summed_kl(base, base).abs() < 1e-4


def test_of_no_positions_it_is_nothing_and_has_a_gradient() -> None:
    ours = torch.randn(0, 11).requires_grad_()
    assert summed_kl(ours, ours).item() == 0
    summed_kl(ours, ours).backward()


def row(seed: int, length: int, replay: Replay) -> Encoded:
    ids = torch.randint(30, 500, (length,), generator=torch.Generator().manual_seed(seed)).tolist()
    labels = [UNTRAINED] * (length // 2) + ids[length // 2 :]
    return Encoded(ids, labels, [False] * length, replay=replay)


ROWS = [row(0, 9, False), row(1, 14, True), row(2, 6, "hold"), row(3, 8, True), row(4, 7, False)]


@pytest.mark.parametrize("put_together", ["padded", "packed"])
def test_every_token_of_a_batch_has_a_place_of_its_own(put_together: str) -> None:
    """Memory is pinned for a GPU by writing to a tensor with the same strides."""
    batch = concatenate(ROWS) if put_together == "packed" else collate(ROWS, pad_token_id=0)
    assert REPLAY in batch
    for each in batch.values():
        torch.empty_strided(each.shape, each.stride(), dtype=each.dtype).copy_(each)


def made_trainer(folder: Path, kl: float) -> Any:
    made = tuned(base_of("native", folder), "native", "lora")
    torch.manual_seed(2)
    for name, weight in made.model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.2)
    arguments = TrainingArguments(str(folder / "out"), use_cpu=True, report_to="none")
    keep_rows_apart(made.model.get_base_model())
    return SftTrainer(made, kl, args=arguments)


def step(trainer: Any, batches: list[dict[str, torch.Tensor]]) -> tuple[float, torch.Tensor]:
    """Loss and gradients of a step accumulated over the batches."""
    trainer.model.train().zero_grad()
    count = torch.stack([(each["labels"][:, 1:] != UNTRAINED).sum() for each in batches]).sum()
    losses = [
        trainer.compute_loss(trainer.model, each, num_items_in_batch=count) for each in batches
    ]
    torch.stack(losses).sum().backward()
    gradients = [each.grad.flatten() for each in trainer.model.parameters() if each.requires_grad]
    return torch.stack(losses).sum().item(), torch.cat(gradients)


def by_hand(trainer: Any) -> float:
    """Mean over all trained tokens: cross entropy, beside it or in its place the distance."""
    total, count = 0.0, 0
    for each in ROWS:
        ids, trained = torch.tensor([each.input_ids]), torch.tensor(each.labels[1:]) != UNTRAINED
        ours = trainer.model(ids).logits[0, :-1][trained]
        with trainer.tuned.base():
            base = trainer.model(ids).logits[0, :-1][trained]
        if each.replay != "hold":
            total -= log_softmax(ours, -1).gather(1, ids[0, 1:][trained][:, None]).sum().item()
        total += 0.5 * written_out(ours, base).item() if each.replay else 0.0
        count += int(trained.sum())
    return total / count


@torch.no_grad()
def test_it_is_added_on_the_answers_of_replay_rows_and_is_all_of_held_ones(tmp_path: Path) -> None:
    trainer = made_trainer(tmp_path, kl=0.5)
    with torch.enable_grad():
        loss, _ = step(trainer, [collate(ROWS, pad_token_id=3)])
    assert loss == pytest.approx(by_hand(trainer), rel=1e-4)


def test_however_the_rows_are_put_together(tmp_path: Path) -> None:
    trainer = made_trainer(tmp_path, kl=0.5)
    loss, gradients = step(trainer, [collate(ROWS, pad_token_id=3)])
    for batches in (
        [concatenate(ROWS)],
        [concatenate(ROWS[:2]), concatenate(ROWS[2:])],
        [collate([each], pad_token_id=3) for each in ROWS],
    ):
        other, others = step(trainer, batches)
        assert other == pytest.approx(loss, rel=1e-4)
        torch.testing.assert_close(others, gradients, atol=1e-5, rtol=1e-3)


def test_without_it_held_rows_are_learnt_as_all_are(tmp_path: Path) -> None:
    trainer = made_trainer(tmp_path, kl=0.0)
    loss, _ = step(trainer, [collate(ROWS, pad_token_id=3)])
    as_others = [replace(each, replay=False) for each in ROWS]
    assert loss == pytest.approx(step(trainer, [collate(as_others, pad_token_id=3)])[0])


def test_evaluation_measures_the_loss_alone(tmp_path: Path) -> None:
    batch = collate(ROWS, pad_token_id=3)
    assert REPLAY in batch and REPLAY not in collate([ROWS[0], ROWS[4]], pad_token_id=3)
    losses = []
    for kl in (0.0, 0.5):
        trainer = made_trainer(tmp_path / str(kl), kl)
        trainer.model.eval()
        losses.append(float(trainer.compute_loss(trainer.model, batch)))
    assert losses[0] == losses[1]
