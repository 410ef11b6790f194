"""Contenders in processes of their own, that work in turns: each waits until it is asked.

    parent                          a contender's process
    ──────                          ─────────────────────
                 ◀── ("ready", MiB)     loaded; its peak of memory begins anew here
    ("turn", n)  ──▶                    steps until n tokens are trained
                 ◀── ("done", seconds, tokens)
    ("stop",)    ──▶
                 ◀── ("peak", MiB)      and the process ends

So all sides of a comparison see the same machine, however busy it is, and each is loaded once.
Linux only. Beside the standard library this needs transformers alone, so that a peer can use
it in an environment of its own.
"""

import ctypes
import gc
import os
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Client, Connection
from pathlib import Path
from typing import Any

MIB = 2**20
KEY = b"turns"


def memory(name: str) -> float:
    """MiB of this process: `VmRSS` now, `VmHWM` at most."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:"))


def forget_peak() -> None:
    """Let `VmHWM` begin again at what is resident now."""
    Path("/proc/self/clear_refs").write_text("5")


def settle(model: Any) -> float:
    """MiB of the process with all weights in memory, and nothing that can be given back.

    Weights that were mapped from a file are read; what loading left behind is freed.
    """
    for weight in (*model.parameters(), *model.buffers()):
        if weight.device.type == "cpu" and weight.numel():
            # one value a page of memory
            weight.detach().flatten()[::512].sum()
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return memory("VmRSS")


class Turns:
    """A contender's side of the conversation."""

    def __init__(self, address: str) -> None:
        self._connection: Connection = Client(address, authkey=KEY)
        self._left = 0.0
        self._tokens = 0.0
        self._started = 0.0

    def ready(self, model: Any) -> None:
        """Loaded: says so, and waits for the first turn."""
        loaded = settle(model)
        forget_peak()
        self._connection.send(("ready", loaded))
        self._wait()

    def worked(self, tokens: float) -> None:
        """So many tokens more are done; waits where the turn is over."""
        self._tokens += tokens
        if self._tokens >= self._left:
            seconds = time.perf_counter() - self._started
            self._connection.send(("done", seconds, self._tokens))
            self._wait()

    def _wait(self) -> None:
        word, *rest = self._connection.recv()
        if word == "stop":
            self._connection.send(("peak", memory("VmHWM")))
            # what follows a training is not measured: neither saving nor the interpreter's end
            os._exit(0)
        (self._left,) = rest
        self._tokens = 0.0
        self._started = time.perf_counter()


def take_turns(address: str) -> None:
    """Every Trainer that is made in this process from now on takes turns."""
    from transformers import TrainerCallback, trainer

    class TurnsCallback(TrainerCallback):
        """Says what the Trainer's own counter of tokens says."""

        def __init__(self) -> None:
            self.turns = Turns(address)
            self.seen = 0

        def on_train_begin(self, args: Any, state: Any, control: Any, **named: Any) -> None:
            self.seen = state.num_input_tokens_seen
            self.turns.ready(named["model"])

        def on_step_end(self, args: Any, state: Any, control: Any, **named: Any) -> None:
            new = state.num_input_tokens_seen - self.seen
            self.seen = state.num_input_tokens_seen
            self.turns.worked(new)

    trainer.DEFAULT_CALLBACKS.append(TurnsCallback)


def run_apart(contend: Callable[..., None], address: str, log: str, *arguments: Any) -> None:
    """`contend(address, *arguments)` in this new process; what it prints goes to a file."""
    with Path(log).open("w", encoding="utf-8") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.stdout = os.fdopen(1, "w", buffering=1, encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, encoding="utf-8", closefd=False)
    contend(address, *arguments)
