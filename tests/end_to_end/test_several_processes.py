"""`--processes 2`, as it is typed: it trains what one process trains, and ends as one."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.conftest import ROWS
from tuneglm.config import load_config
from tuneglm.demo import MODEL_FOLDER
from tuneglm.training import train

WEIGHTS = "adapter_model.safetensors"
TRAIN = (sys.executable, "-m", "tuneglm", "train")
TWO = ("--processes", "2")
# two processes would each want one, and what is asserted is a processor's
WITHOUT_GPU = {"CUDA_VISIBLE_DEVICES": ""}


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    """A run of float32 steps of four rows, to which the number of processes is added."""
    rows = tmp_path / "rows.json"
    rows.write_text(json.dumps([row | {"input": str(i)} for i in range(9) for row in ROWS]))
    settings = (
        f"model.path={MODEL_FOLDER}",
        "model.dtype=float32",
        f"data.train={rows}",
        "training.bf16=false",
        "training.per_device_train_batch_size=2",
        "training.learning_rate=0.005",
        "training.logging_steps=1",
    )
    return [*TRAIN, *settings]


def start(command: list[str], *settings: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*command, *settings],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | WITHOUT_GPU,
    )


def losses(folder: Path) -> list[tuple[int, float]]:
    if not (folder / "log.jsonl").is_file():
        return []
    lines = (folder / "log.jsonl").read_text().splitlines()
    entries = [json.loads(line) for line in lines]
    return [(entry["step"], entry["loss"]) for entry in entries if "loss" in entry]


def wait_for_step(process: subprocess.Popen[str], folder: Path, step: int) -> None:
    until = time.monotonic() + 60
    while len(losses(folder)) < step:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until, "the run did not begin"
        time.sleep(0.02)


def train_alone(command: list[str], folder: Path, *settings: str) -> None:
    """What two processes do at once, one after the other: in this process."""
    threads = torch.get_num_threads()
    two_batches = ("training.gradient_accumulation_steps=2", "training.use_cpu=true")
    output = f"training.output_dir={folder}"
    torch.set_num_threads(1)
    try:
        train(load_config(None, [*command[len(TRAIN) :], *settings, *two_batches, output]))
    finally:
        torch.set_num_threads(threads)


def assert_one_process_gives(command: list[str], folder: Path) -> None:
    """The same losses and weights, bitwise, where one process accumulates two batches."""
    one = folder.with_name("one")
    train_alone(command, one)
    assert losses(folder) == losses(one) != []
    assert (folder / WEIGHTS).read_bytes() == (one / WEIGHTS).read_bytes()


def workers(process: subprocess.Popen[str]) -> list[int]:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [int(number) for number in children.read_text().split()]


def test_two_processes_equal_one(command: list[str], tmp_path: Path) -> None:
    """Bitwise: the same rows a step, divided once by the tokens of both."""
    command += ["training.max_steps=6", "training.save_strategy=no"]
    two = start(command, f"training.output_dir={tmp_path / 'two'}", *TWO)
    printed, said = two.communicate(timeout=100)
    assert two.returncode == 0, said
    assert "4 rows each" in printed and printed.count("Model ") == 1
    assert "Warning" not in said
    assert_one_process_gives(command, tmp_path / "two")


def test_accelerate_launch_equals_one(command: list[str], tmp_path: Path) -> None:
    """By the file that lies here for it; a processor is asked for in the run."""
    config = Path(__file__).parents[2] / "configs" / "accelerate" / "ddp.yaml"
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(config)]
    command += ["training.max_steps=3", "training.save_strategy=no"]
    launched = [*launch, *command[1:], "training.use_cpu=true"]
    two = start(launched, f"training.output_dir={tmp_path / 'two'}")
    printed, said = two.communicate(timeout=100)
    assert two.returncode == 0, said
    assert "4 rows each" in printed and printed.count("Model ") == 1
    assert_one_process_gives(command, tmp_path / "two")


def test_stopped_killed_and_gone_on(command: list[str], tmp_path: Path) -> None:
    """SIGTERM to the launcher, then a process killed, then to the end: as if nothing had been."""
    command += ["training.max_steps=24", "training.save_steps=6"]
    train_alone(command, tmp_path / "whole")
    out = tmp_path / "out"
    command += [*TWO, f"training.output_dir={out}"]
    stopped = start(command)
    wait_for_step(stopped, out, 3)
    stopped.send_signal(signal.SIGTERM)
    printed, said = stopped.communicate(timeout=60)
    assert stopped.returncode == 128 + signal.SIGTERM
    assert printed.count("a checkpoint is saved") == 1
    assert len(list(out.glob("checkpoint-*"))) == 1

    killed = start(command)
    wait_for_step(killed, out, len(losses(out)) + 2)
    os.kill(workers(killed)[1], signal.SIGKILL)
    began = time.monotonic()
    printed, said = killed.communicate(timeout=60)
    assert time.monotonic() - began < 10
    assert killed.returncode == 128 + signal.SIGKILL
    assert "Error: Process 2 of 2 was ended by SIGKILL" in said
    assert "Traceback" not in said

    assert start(command).wait(100) == 0
    assert losses(out) == losses(tmp_path / "whole")
    assert (out / WEIGHTS).read_bytes() == (tmp_path / "whole" / WEIGHTS).read_bytes()


def test_a_mistake_is_said_once(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("years of work")
    process = start(command, f"training.output_dir={tmp_path / 'out'}", *TWO)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 2
    assert said.count("is not empty, and what it holds is not a run") == 1
    assert "Traceback" not in said


# Python reads it before all else; the error is of a kind that nobody foresees
BREAKS = """
import os

if os.environ.get("RANK") == "1":
    from torch.optim import AdamW

    def step(self, *arguments, **named):
        raise ZeroDivisionError("only here")

    AdamW.step = step
"""


def test_all_end_with_the_error_of_one(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second process breaks while the first waits for its part of a step."""
    (tmp_path / "breaks").mkdir()
    (tmp_path / "breaks" / "sitecustomize.py").write_text(BREAKS)
    found_first = [str(tmp_path / "breaks"), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(found_first))
    process = start(command, f"training.output_dir={tmp_path / 'out'}", *TWO)
    started: list[int] = []
    while len(started) < 2 and process.poll() is None:
        started = workers(process)
        time.sleep(0.02)
    _, said = process.communicate(timeout=100)
    assert process.returncode == 1
    assert said.count("ZeroDivisionError: only here") == 1
    assert said.count("Traceback") == 1
    assert "onnection" not in said
    assert len(started) == 2 and not any(is_running(number) for number in started)
    assert not (tmp_path / "out" / WEIGHTS).exists()


def test_the_processes_end_with_the_one_that_started_them(
    command: list[str], tmp_path: Path
) -> None:
    command += ["training.max_steps=2000", *TWO]
    process = start(command, f"training.output_dir={tmp_path / 'out'}")
    wait_for_step(process, tmp_path / "out", 1)
    started = workers(process)
    process.kill()
    process.wait()
    until = time.monotonic() + 5
    while any(is_running(number) for number in started):
        assert time.monotonic() < until
        time.sleep(0.05)


def is_running(number: int) -> bool:
    stat = Path(f"/proc/{number}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"
