"""The last lines of a run: what it took, and what its losses say of the next one."""

import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console
from transformers import Trainer

from tests.conftest import Configure
from tuneglm.errors import ConfigError
from tuneglm.plan.capacity import GIB
from tuneglm.reports.closing import Closing, print_closing
from tuneglm.reports.run import TrainingResult
from tuneglm.training import train

FALLING = [(step, 3.0 / step) for step in range(1, 11)]
CLOSING = Closing(
    losses=FALLING,
    held=[],
    steps=10,
    begun=0,
    seconds=100.0,
    tokens=5000,
    trained=2000,
    peak=6 * GIB,
    planned=None,
    kinds={},
    kept=None,
    doubt=None,
)


def printed(closing: Closing, folder: Path, steps: int = 10) -> str:
    text = io.StringIO()
    result = TrainingResult(folder, True, steps, 0.3, None)
    print_closing(Console(file=text, soft_wrap=True), result, closing)
    return text.getvalue()


def test_the_closing_lines(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    closing = replace(CLOSING, held=[(5, 2.0), (10, 1.0)], planned=6 * GIB + GIB // 5)
    assert printed(closing, tmp_path).splitlines()[:4] == [
        f"Saved    {tmp_path}: adapter (0 B), tokenizer, run.yaml, log.jsonl, loss.png",
        "Loss     3.0000 → 0.3000 · evaluation 2.0000 → 1.0000",
        "Time     1:40 · 50 tokens/s, 20 of them trained",
        "Memory   peak 6.00 GiB, planned 6.20",
    ]
    assert "Note:" not in printed(closing, tmp_path)


def test_a_base_that_was_held_in_few_bits_is_talked_to_in_as_many(tmp_path: Path) -> None:
    assert f"tuneglm chat {tmp_path}\n" in printed(replace(CLOSING, bits=4), tmp_path)
    (tmp_path / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    assert f"tuneglm chat {tmp_path} --bits 4\n" in printed(replace(CLOSING, bits=4), tmp_path)


def test_a_run_that_went_on_says_since_when(tmp_path: Path) -> None:
    assert "1:40 since step 4 · 50 tokens/s" in printed(replace(CLOSING, begun=4), tmp_path)


def test_an_evaluation_loss_that_rose_asks_for_fewer_epochs(tmp_path: Path) -> None:
    rising = replace(CLOSING, held=[(2, 2.0), (4, 1.5), (6, 1.9)])
    assert "lowest at step 4 (1.5000) and has risen to 1.9000" in printed(rising, tmp_path)
    # the lowest was kept: there is nothing to be done
    assert "Note:" not in printed(replace(rising, kept=4), tmp_path)
    hardly = replace(CLOSING, held=[(2, 2.0), (4, 1.5), (6, 1.51)])
    assert "Note:" not in printed(hardly, tmp_path)


def test_a_loss_that_does_not_fall_asks_for_another_rate(tmp_path: Path) -> None:
    flat = replace(CLOSING, losses=[(step, 3.0 - step / 1000) for step in range(1, 11)])
    assert "hardly fallen (2.9990 → 2.9900): a higher training.learning_rate" in printed(
        flat, tmp_path
    )
    doubted = replace(flat, doubt="training.learning_rate=1e-09 is a 100th of what suits.")
    assert "training.learning_rate=1e-09 is a 100th" in printed(doubted, tmp_path)
    rising = replace(CLOSING, losses=[(step, 10.0 + step / 10) for step in range(1, 21)])
    told = printed(rising, tmp_path)
    assert "has risen (means of 2 entries of the log, 10.1500 → 11.9500): a lower " in told
    assert "hardly fallen" not in told
    # known by heart from the first step on
    known = replace(CLOSING, losses=[(step, 0.01) for step in range(1, 11)])
    assert "Note:" not in printed(known, tmp_path)


def test_a_gpu_that_is_full_is_one_sentence(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has")

    monkeypatch.setattr(Trainer, "training_step", full)
    with pytest.raises(ConfigError, match="more memory than there is: CUDA out") as caught:
        train(configure(tmp_path / "out"))
    assert "gradient_accumulation_steps" in str(caught.value)


def _numbers(pattern: str, line: str) -> list[int]:
    return [int(number.replace(",", "")) for number in re.findall(pattern, line)]


def test_a_real_run_counts_its_tokens_and_its_memory(
    configure: Configure, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(configure(tmp_path / "out", "training.num_train_epochs=1", "training.max_steps=-1"))
    lines = capsys.readouterr().out.splitlines()
    data = next(line for line in lines if line.startswith("Data"))
    time = next(line for line in lines if line.startswith("Time"))
    tokens, trained = _numbers(r"([\d,]+) t", data)
    whole, share = _numbers(r"([\d,]+) (?:tokens/s|of them)", time)
    # one epoch: of the run's tokens the same share is trained as of those of the rows
    assert share / whole == pytest.approx(trained / tokens, abs=0.05)
    memory = next(line for line in lines if line.startswith("Memory"))
    assert 0.1 < float(memory.split()[2]) < 8
