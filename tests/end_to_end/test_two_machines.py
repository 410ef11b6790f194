"""Two machines, as torchrun starts them on each: here both are this one."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from tests.end_to_end.test_several_processes import (
    assert_one_process_gives,
    command,
    losses,
    start,
    workers,
)

__all__ = ["command"]


def on_two_machines(command: list[str], *settings: str) -> list[subprocess.Popen[str]]:
    """The run's first and second machine, of one process each."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    machines = ("--nnodes", "2", "--nproc_per_node", "1")
    meeting = ("--master_addr", "127.0.0.1", "--master_port", str(port))
    torchrun = [sys.executable, "-m", "torch.distributed.run", *machines, *meeting]
    return [start([*torchrun, "--node_rank", rank, *command[1:]], *settings) for rank in ("0", "1")]


def test_two_machines_equal_one(command: list[str], tmp_path: Path) -> None:
    command += ["training.max_steps=4", "training.save_steps=2"]
    first, second = on_two_machines(command, f"training.output_dir={tmp_path / 'two'}")
    printed, said = first.communicate(timeout=100)
    assert first.returncode == 0, said
    other, _ = second.communicate(timeout=20)
    assert second.returncode == 0
    assert printed.count("Model ") == 1 and other == ""
    assert_one_process_gives(command, tmp_path / "two")


def test_a_machine_that_is_lost_ends_the_other_and_the_run_goes_on(
    command: list[str], tmp_path: Path
) -> None:
    command += ["training.max_steps=12", "training.save_steps=2"]
    out = tmp_path / "out"
    first, second = on_two_machines(command, f"training.output_dir={out}")
    until = time.monotonic() + 60
    while not list(out.glob("checkpoint-*")):
        assert first.poll() is None and time.monotonic() < until
        time.sleep(0.02)
    for number in (*workers(second), second.pid):
        os.kill(number, signal.SIGKILL)
    second.wait()
    _, said = first.communicate(timeout=60)
    assert first.returncode != 0
    assert "Connection" in said
    first, second = on_two_machines(command, f"training.output_dir={out}")
    assert [each.wait(100) for each in (first, second)] == [0, 0]
    assert [step for step, _ in losses(out)] == list(range(1, 13))
