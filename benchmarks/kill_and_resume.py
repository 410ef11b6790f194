"""kill -9 at random moments, damaged checkpoints and a full disk, against the uninterrupted run.

    python benchmarks/kill_and_resume.py [--method lora] [--kills 20] [--processes 1] [--seed 0]
    python benchmarks/kill_and_resume.py --method full --kills 6 --only-kills
    python benchmarks/kill_and_resume.py --with-all --kills 6 --only-kills
    python benchmarks/kill_and_resume.py --kills 0 --disks 59

The same command is typed again after each death. At the end the losses of every
step and the bytes of the weights must be those of a run that nobody disturbed.
"""

import argparse
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from tuneglm.demo import MODEL_FOLDER

# method → the file of its result without which there is none, and settings; where a method has a
# dropout of its own, a run that goes on has to draw the numbers as if it had never stopped
METHODS: dict[str, tuple[str, dict[str, object]]] = {
    "lora": (
        "adapter_model.safetensors",
        {"method.dropout": 0.1, "training.learning_rate": 0.003},
    ),
    "p_tuning": (
        "pytorch_model.bin",
        {"method.length": 16, "method.dropout": 0.1, "training.learning_rate": 0.02},
    ),
    "freeze": ("adapter_model.safetensors", {"training.learning_rate": 0.001}),
    "full": ("model.safetensors", {"training.learning_rate": 0.0005}),
    "prompt": (
        "adapter_model.safetensors",
        {"method.length": 16, "training.learning_rate": 0.02},
    ),
}
# what else a run may do while it trains: it asks, evaluates, averages and packs
WITH_ALL: dict[str, object] = {
    "data.identity": "{name: 星河, author: 北斗实验室}",
    "probe.questions": 1,
    "probe.max_new_tokens": 8,
    # a share would be mostly identity rows, of which there are thousands
    "data.evaluation_rows": 6,
    "training.eval_steps": 5,
    "average": 0.5,
    "data.batching": "packed",
    "data.cutoff": 64,
    "training.per_device_train_batch_size": 1,
}
STEPS, SAVE_EVERY, LOG_EVERY = 45, 5, 3
MOMENTS = ("start", "step", "step", "save", "save", "save", "result")
# of a file, where no small disk can be made: the optimizer's is larger
LIMIT = 250_000
SMALLEST, LARGEST = 0.5, 2.0  # disks, in MiB


@dataclass(frozen=True)
class Command:
    """A run that is typed again and again."""

    rows: Path
    processes: int = 1
    steps: int = STEPS
    method: str = "lora"
    with_all: bool = False

    @property
    def weights(self) -> str:
        """Name of the file of weights in a checkpoint and in the result."""
        return METHODS[self.method][0]

    def words(self, output: Path) -> list[str]:
        settings = {
            "model.path": MODEL_FOLDER,
            "model.dtype": "float32",
            "data.train": self.rows,
            "method.name": self.method,
            **METHODS[self.method][1],
            "training.bf16": "false",
            "training.output_dir": output,
            "training.max_steps": self.steps,
            "training.per_device_train_batch_size": 4,
            "training.save_steps": SAVE_EVERY,
            # not in step with the checkpoints: a line's losses lie on both sides of one
            "training.logging_steps": LOG_EVERY,
            "memory_check": "off",
            **(WITH_ALL if self.with_all else {}),
        }
        words = [sys.executable, "-m", "tuneglm", "train"]
        words += [f"{name}={value}" for name, value in settings.items()]
        return [*words, "--processes", str(self.processes)]

    def start(self, output: Path, file_limit: int | None = None) -> subprocess.Popen[str]:
        def limit() -> None:
            if file_limit is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))

        return subprocess.Popen(
            self.words(output),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=limit,
            env={"OMP_NUM_THREADS": "1", **os.environ},
        )

    def run(self, output: Path, file_limit: int | None = None) -> subprocess.CompletedProcess[str]:
        process = self.start(output, file_limit)
        printed, said = process.communicate()
        return subprocess.CompletedProcess(process.args, process.returncode, printed, said)


@dataclass(frozen=True)
class Outcome:
    """What a finished run is judged by."""

    losses: list[tuple[float, ...]]
    weights: bytes

    @classmethod
    def of(cls, folder: Path, weights: str) -> "Outcome":
        entries = [json.loads(line) for line in (folder / "log.jsonl").open()]
        names = ("step", "loss", "grad_norm", "eval_loss")
        losses = [
            tuple(entry[name] for name in names if name in entry)
            for entry in entries
            if entry.keys() & {"loss", "eval_loss"}
        ]
        return cls(losses, _values(folder / weights))


def _values(path: Path) -> bytes:
    """A file's bytes; of one that torch packs, in which names of folders stand, its tensors'."""
    if path.suffix != ".bin":
        return path.read_bytes()
    tensors = torch.load(path, weights_only=True)
    return b"".join(name.encode() + tensors[name].numpy().tobytes() for name in sorted(tensors))


@dataclass(frozen=True)
class Death:
    """One kill: where the run was, and what the next start made of it."""

    moment: str
    inside: str
    checkpoints: list[str]


# ---- kill -9


def killed(
    process: subprocess.Popen[str],
    output: Path,
    weights: str,
    moment: str,
    chance: random.Random,
) -> bool:
    """Kill a run at a moment; False where it had ended before."""
    if moment == "start":
        delay = chance.uniform(0.2, 6)
        _until(process, lambda: False, delay)
    elif moment == "step":
        log, before = output / "log.jsonl", time.time()
        _until(process, lambda: log.is_file() and log.stat().st_mtime > before, 120)
        _until(process, lambda: False, chance.uniform(0, 2))
    else:
        skipped = chance.randrange(4)
        for _ in range(skipped + 1):
            _until(process, lambda: not _is_saving(output, weights, moment), 120)
            _until(process, lambda: _is_saving(output, weights, moment), 120)
        _until(process, lambda: False, chance.uniform(0, 0.06))
    if process.poll() is not None:
        return False
    process.kill()
    process.wait()
    return True


def _until(process: subprocess.Popen[str], ready: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < end and not ready():
        time.sleep(0.003)


def _is_saving(output: Path, weights: str, moment: str) -> bool:
    if moment == "result":
        return (output / "unfinished" / weights).exists()
    return any(name.startswith("checkpoint-") for name in _unfinished(output))


def _unfinished(output: Path) -> list[str]:
    """Names in the folder of what is being written, which a run takes away at any moment."""
    try:
        return sorted(path.name for path in (output / "unfinished").iterdir())
    except FileNotFoundError:
        return []


def inside(output: Path) -> str:
    """What a dead run was doing, by what it left."""
    writing = _unfinished(output)
    saving = next((name for name in writing if name.startswith("checkpoint-")), None)
    if saving is not None:
        files = len(list((output / "unfinished" / saving).rglob("*")))
        return f"saving {saving}, {files} files written"
    if writing:
        return f"{len(writing)} files in unfinished"
    log = output / "log.jsonl"
    if not log.is_file():
        return "before the first step"
    lines = log.read_text().splitlines()
    return f"after the line of step {json.loads(lines[-1])['step']}" if lines else "the first steps"


def kill_and_resume(
    command: Command, folder: Path, whole: Outcome, moments: Sequence[str], chance: random.Random
) -> Iterator[Death]:
    """A death at each moment, in as many runs as it takes; each must end as the whole one did."""
    waiting, runs = list(reversed(moments)), 0
    while waiting:
        runs += 1
        output = folder / f"killed-{runs}"
        while not (output / command.weights).is_file():
            process = command.start(output)
            if waiting and killed(process, output, command.weights, waiting[-1], chance):
                checkpoints = sorted(path.name for path in output.glob("checkpoint-*"))
                yield Death(waiting.pop(), inside(output), checkpoints)
            else:
                _, said = process.communicate()
                assert process.returncode == 0, said
        assert Outcome.of(output, command.weights) == whole, f"{output} ended otherwise"
        assert not (output / "unfinished").exists()
        shutil.rmtree(output)


# ---- damaged checkpoints


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


WEIGHTS = "*model.*"
DAMAGES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "weights cut off": (WEIGHTS, cut_off),
    "weights, a bit flipped": (WEIGHTS, flip_a_bit),
    "optimizer cut off": ("optimizer.pt", cut_off),
    "optimizer, a bit flipped": ("optimizer.pt", flip_a_bit),
    "optimizer missing": ("optimizer.pt", Path.unlink),
    "scheduler missing": ("scheduler.pt", Path.unlink),
    "random state missing": ("rng_state*.pth", Path.unlink),
    "state cut off": ("trainer_state.json", cut_off),
    "manifest, a bit flipped": ("manifest.json", flip_a_bit),
}


def damage_and_resume(
    command: Command,
    folder: Path,
    whole: Outcome,
    damages: dict[str, tuple[str, Callable[[Path], None]]],
) -> Iterator[tuple[str, str]]:
    """(damage, what was said of it) for a newest checkpoint that is not whole."""
    finished = folder / "finished"
    assert command.run(finished).returncode == 0
    for name, (pattern, damage) in damages.items():
        output = folder / "damaged"
        shutil.copytree(finished, output)
        for result in (output / command.weights, output / "adapter_config.json"):
            result.unlink(missing_ok=True)
        run_file = output / "run.yaml"
        run_file.write_text(run_file.read_text().replace(str(finished), str(output)))
        damage(next((output / f"checkpoint-{command.steps}").glob(pattern)))
        again = command.run(output)
        assert again.returncode == 0, again.stderr
        assert Outcome.of(output, command.weights) == whole, f"{name}: ended otherwise"
        said = next(line for line in again.stdout.splitlines() if "passed over" in line)
        yield name, said.rpartition("passed over: ")[2]
        shutil.rmtree(output)
    shutil.rmtree(finished)


# ---- full disks


def full_disk_and_resume(
    command: Command, folder: Path, whole: Outcome, mebibytes: float
) -> tuple[str, str]:
    """(the kind of limit, what was said): a disk of this size, then room on it."""
    with _small_disk(folder / "disk", mebibytes) as grow:
        output = folder / "disk" / "out"
        limit = LIMIT if grow is None else None
        full = command.run(output, limit)
        assert full.returncode == 2, (full.returncode, full.stdout, full.stderr)
        said = next(line for line in full.stderr.splitlines() if line.startswith("Error"))
        assert not (output / "unfinished").exists()
        if grow is not None:
            grow()
        assert command.run(output).returncode == 0
        assert Outcome.of(output, command.weights) == whole, "a full disk changed the outcome"
    return ("tmpfs" if grow is not None else "limit of a file's size"), said


@contextmanager
def _small_disk(place: Path, mebibytes: float) -> Iterator[Callable[[], None] | None]:
    """A tmpfs and what makes it large; None, and a plain folder, where mounting is not allowed."""
    place.mkdir()
    size = f"size={int(mebibytes * 1024)}k"
    mount = ["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        yield None
        shutil.rmtree(place)
        return
    try:
        yield lambda: subprocess.run(["mount", "-o", "remount,size=500m", str(place)], check=True)
    finally:
        subprocess.run(["umount", str(place)], check=True)
        place.rmdir()


def write_rows(path: Path) -> Path:
    """Rows of unlike lengths, enough for the order in which they come to matter."""
    rows = [
        {"instruction": f"{a} + {b} =", "output": f"{a + b}" + "!" * (a % 7)}
        for a in range(12)
        for b in range(8)
    ]
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--method", choices=METHODS, default="lora")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--with-all", action="store_true", help="it asks, evaluates, averages and packs as well"
    )
    parser.add_argument("--disks", type=int, default=4, help="sizes of the full disk to try")
    parser.add_argument("--only-kills", action="store_true", help="no damage, no full disks")
    given = parser.parse_args()
    terminal, started = Console(width=110), time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        command = Command(
            write_rows(folder / "rows.json"),
            given.processes,
            method=given.method,
            with_all=given.with_all,
        )
        undisturbed = command.run(folder / "whole")
        assert undisturbed.returncode == 0, undisturbed.stderr
        whole = Outcome.of(folder / "whole", command.weights)
        chance = random.Random(given.seed)
        moments = chance.choices(MOMENTS, k=given.kills)
        terminal.print(_kills(kill_and_resume(command, folder, whole, moments, chance)))
        if not given.only_kills:
            _damages(terminal, command, folder, whole)
            _disks(terminal, command, folder, whole, given.disks)
    terminal.print(
        f"{given.method}: all ended with the losses and weights of the uninterrupted run, bit for "
        f"bit; {time.monotonic() - started:.0f} s."
    )


def _kills(deaths: Iterator[Death]) -> Table:
    table = Table("kill -9", "at", "the run was", "checkpoints there", box=None)
    for number, death in enumerate(deaths, 1):
        steps = ", ".join(name.rpartition("-")[2] for name in death.checkpoints)
        table.add_row(str(number), death.moment, death.inside, steps)
    return table


def _damages(terminal: Console, command: Command, folder: Path, whole: Outcome) -> None:
    table = Table("newest checkpoint", "what was said of it", box=None)
    for name, said in damage_and_resume(command, folder, whole, DAMAGES):
        table.add_row(name, said)
    terminal.print(table)


def _disks(terminal: Console, command: Command, folder: Path, whole: Outcome, count: int) -> None:
    """So many sizes, as far from each other."""
    for number in range(count):
        mebibytes = SMALLEST + (LARGEST - SMALLEST) * number / max(1, count - 1)
        kind, said = full_disk_and_resume(command, folder, whole, mebibytes)
        terminal.print(f"{mebibytes:.2f} MiB ({kind}): {said}")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    main()
