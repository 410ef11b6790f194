"""A cell as a user would run it: trained, saved, loaded by its own path, asked."""

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torch import distributed

import tuneglm
from tests.matrix.bases import base_of
from tests.matrix.cells import Cell
from tuneglm.checkpoints import RESULTS
from tuneglm.data.messages import Example, Message

STEPS = 3
ROWS, HELD = 64, 4
GREEDY = tuneglm.ChatConfig(temperature=0, max_new_tokens=8)


@dataclass(frozen=True)
class Outcome:
    """What became of a cell; `said` is the refusal's sentence, or what failed.

    trained  the losses of the steps, and a digest of the weights that were saved
    """

    cell: str
    kind: Literal["passed", "refused", "failed"]
    said: str = ""
    seconds: float = 0.0
    trained: tuple[float | str, ...] = ()


def rows(start: int, count: int) -> list[dict[str, str]]:
    """Sums, of like length: some 80 bytes, or 30 tokens."""
    return [
        {"instruction": f"What is {i} + {i}?", "input": "", "output": f"{i} + {i} = {2 * i}。"}
        for i in range(start, start + count)
    ]


def write_rows(folder: Path) -> None:
    """The file that is trained on, and that of the loss before and after."""
    for name, written in (("rows", rows(100, ROWS)), ("held", rows(300, HELD))):
        (folder / f"{name}.json").write_text(json.dumps(written, ensure_ascii=False))


def config_of(cell: Cell, folder: Path, output: Path) -> tuneglm.RunConfig:
    """Three steps, with the loss on rows held out before the first and after the last."""
    base = base_of(cell.family, cell.form, folder / "bases")
    return tuneglm.load_config(
        None,
        (
            *cell.overrides(base),
            f"data.train={folder / 'rows.json'}",
            f"data.evaluation={folder / 'held.json'}",
            "data.cutoff=128",
            f"training.output_dir={output}",
            f"training.max_steps={STEPS}",
            "training.logging_steps=1",
            "training.eval_on_start=true",
            f"training.eval_steps={STEPS}",
            "training.save_strategy=no",
            "training.lr_scheduler_type=constant",
            "training.use_cpu=true",
            "training.bf16=false",
            "memory_check=off",
        ),
    )


def run_cell(cell: Cell, folder: Path) -> Outcome:
    """Run it in this process, or in each of several; the first one alone looks at the result."""
    output = folder / "runs" / str(cell)
    began = time.monotonic()
    try:
        result = tuneglm.train(config_of(cell, folder, output))
    except tuneglm.UserError as error:
        return Outcome(str(cell), "refused", error.sentence, time.monotonic() - began)
    trained: tuple[float | str, ...] = ()
    if not distributed.is_initialized() or distributed.get_rank() == 0:
        trained = (*_losses(output, "loss"), _digest(output))
        check(cell, result)
        shutil.rmtree(output)
    return Outcome(str(cell), "passed", "", time.monotonic() - began, trained)


def check(cell: Cell, result: Any) -> None:
    """Something was learnt, all of it was saved, and the folder alone is enough to ask it."""
    assert result.finished and len(_losses(result.folder, "loss")) == STEPS
    before, after = _losses(result.folder, "eval_loss")
    assert after < before - 0.05, f"the loss went from {before} to {after}"
    chat = tuneglm.ChatModel(result.folder, device="cpu", **cell.loading)
    assert chat.family.name == cell.family
    assert loss_of(chat) == pytest.approx(after, abs=0.1 * (before - after))
    # three steps may have taught it to end at once, or to say what cannot be read
    answer_of(chat)
    with only_letters(chat):
        assert answer_of(chat), "nothing was answered"


def answer_of(chat: tuneglm.ChatModel) -> str:
    """To one question, streamed and in a batch: the same."""
    question = [{"role": "user", "content": rows(300, 1)[0]["instruction"]}]
    answer = chat.reply(question, GREEDY).strip()
    assert answer == chat.replies([question], GREEDY)[0]
    return answer


@contextmanager
def only_letters(chat: tuneglm.ChatModel) -> Iterator[None]:
    """Within it nothing is drawn but what the figures of an answer are written with."""
    allowed = chat.tokenizer("0123456789", add_special_tokens=False)["input_ids"]
    letters = [each for each in allowed if chat.decode([each]).strip()]

    def forbid_others(_: Any, __: Any, logits: torch.Tensor) -> torch.Tensor:
        kept = torch.full_like(logits, -torch.inf)
        kept[..., letters] = logits[..., letters]
        return kept

    hook = chat.model.get_output_embeddings().register_forward_hook(forbid_others)
    try:
        yield
    finally:
        hook.remove()


@torch.inference_mode()
def loss_of(chat: tuneglm.ChatModel) -> float:
    """Of the rows held out: the mean of all tokens of the answers, as a run's evaluation."""
    examples = [
        Example((Message("user", row["instruction"]), Message("assistant", row["output"])))
        for row in rows(300, HELD)
    ]
    total, count = 0.0, 0
    for row in chat.family.render(chat.tokenizer, examples):
        ids, trained = torch.tensor([row.ids]), torch.tensor([list(map(bool, row.trained))])
        labels = ids.masked_fill(~trained, -100)
        tokens = int((labels[:, 1:] != -100).sum())
        total += chat.model(ids, labels=labels).loss.item() * tokens
        count += tokens
    return total / count


def _digest(folder: Path) -> str:
    (weights,) = [folder / name for name in RESULTS if (folder / name).is_file()]
    return blake2b(weights.read_bytes(), digest_size=16).hexdigest()


def _losses(folder: Path, name: str) -> tuple[float, ...]:
    entries = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return tuple(entry[name] for entry in entries if name in entry)
