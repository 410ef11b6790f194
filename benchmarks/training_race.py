"""Contenders side by side: in turns on one machine, and the median of each one's turns."""

import multiprocessing
import os
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection, Listener
from pathlib import Path
from typing import Any

from training_turns import KEY, run_apart

# imported once, where each contender's process comes from; nothing of tuneglm is among them
PRELOADED = ["torch", "transformers.trainer", "transformers.models.glm.modeling_glm", "peft"]
SECONDS_TO_START = 300


@dataclass(frozen=True)
class Contender:
    """A name, and what is called in its process: `call(address, *arguments)`.

    command  instead of that, a command line of another environment; `{address}` is filled in
    work     of a turn, where it is not counted in tokens
    may_fail whether the race goes on without it, where it ends by itself
    """

    name: str
    call: Callable[..., None] | None = None
    arguments: tuple[Any, ...] = ()
    command: tuple[str, ...] = ()
    work: float | None = None
    may_fail: bool = False


@dataclass
class Result:
    """What a contender did: tokens a second in each of its turns, MiB of memory.

    base  what the leanest process of the race held with the model loaded
    """

    rates: list[float] = field(default_factory=list)
    loaded: float = 0.0
    peak: float = 0.0
    base: float = 0.0

    @property
    def rate(self) -> float:
        """Median of the turns."""
        return statistics.median(self.rates)

    @property
    def above(self) -> float:
        """Highest memory above the loaded model: what else a process holds is its own."""
        return self.peak - self.base

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        return {
            "tokens_per_second": self.rate,
            "turns": self.rates,
            "loaded_mib": self.loaded,
            "base_mib": self.base,
            "peak_mib": self.peak,
            "above_mib": self.above,
        }


def prepare(threads: int, also: Sequence[str] = ()) -> None:
    """Before the first race: how many threads the processes have, and what they hold.

    also  modules beside PRELOADED
    """
    os.environ.update(
        OMP_NUM_THREADS=str(threads),
        HF_HUB_OFFLINE="1",
        TOKENIZERS_PARALLELISM="false",
        PYTHONWARNINGS="ignore",
    )
    multiprocessing.set_forkserver_preload([*PRELOADED, *also])


def race(
    contenders: Sequence[Contender], rounds: int, work: float, *, of_one_model: bool = True
) -> dict[str, Result]:
    """Every contender loads and warms up; then in each round each does its work, in turn.

    of_one_model  whether all have the same model: memory is then told above the leanest of them
    """
    with tempfile.TemporaryDirectory() as folder:
        running: dict[str, _Running] = {}

        def let(contender: Contender, work: Callable[[], None]) -> None:
            """Work, unless it is out of the race; it is where it fails and may."""
            try:
                work()
            except ContenderError as error:
                if not contender.may_fail:
                    raise
                print(f"    left out: {error}", flush=True)
                out.add(contender.name)

        out: set[str] = set()
        try:
            for contender in contenders:
                let(contender, partial(_begin, running, contender, Path(folder)))
            for turn in range(rounds + 1):
                for contender in contenders:
                    if contender.name not in out:
                        each = running[contender.name]
                        work_ = partial(each.count, work) if turn < rounds else each.stop
                        let(contender, work_)
        finally:
            for each in running.values():
                each.end()
        results = {name: each.result for name, each in running.items() if name not in out}
        tunes = [each.name for each in contenders if each.work is None and each.name in results]
        leanest = min((results[name].loaded for name in tunes), default=0.0)
        for name, result in results.items():
            result.base = leanest if of_one_model and name in tunes else result.loaded
        return results


def _begin(running: "dict[str, _Running]", contender: Contender, folder: Path) -> None:
    running[contender.name] = _Running(contender, folder)
    running[contender.name].turn(1)


class _Running:
    """A contender's process, seen from outside."""

    def __init__(self, contender: Contender, folder: Path) -> None:
        self.name, self.work, self.result = contender.name, contender.work, Result()
        number = len(list(folder.glob("*.log")))
        address, self._log = str(folder / f"{number}.socket"), folder / f"{number}.log"
        self._log.touch()
        with Listener(address, "AF_UNIX", authkey=KEY) as listener:
            self._start(contender, address)
            self._connection = self._connected(listener)
        self.result.loaded = self._receive("ready")[0]

    def turn(self, work: float) -> float:
        """Tokens a second in a turn of at least `work` tokens."""
        self._connection.send(("turn", work))
        seconds, tokens = self._receive("done")
        return float(tokens / seconds)

    def count(self, work: float) -> None:
        """A turn that counts."""
        self.result.rates.append(self.turn(self.work or work))

    def stop(self) -> None:
        """Ask for the peak of memory; the process ends."""
        self._connection.send(("stop",))
        self.result.peak = self._receive("peak")[0]

    def end(self) -> None:
        """Leave no process behind."""
        if self._alive():
            # a polite signal is for a run to save and end after its step, which never comes
            self._process.kill()
        if isinstance(self._process, subprocess.Popen):
            self._process.wait()
        else:
            self._process.join()

    def _start(self, contender: Contender, address: str) -> None:
        self._process: Any
        if contender.call is None:
            line = [part.format(address=address) for part in contender.command]
            with self._log.open("w") as file:
                self._process = subprocess.Popen(line, stdout=file, stderr=file)
            return
        context = multiprocessing.get_context("forkserver")
        arguments = (contender.call, address, str(self._log), *contender.arguments)
        self._process = context.Process(target=run_apart, args=arguments)
        self._process.start()

    def _connected(self, listener: Listener) -> Connection:
        # a process that dies before it connects would be waited for without end
        socket: Any = listener._listener._socket  # type: ignore[attr-defined]
        socket.settimeout(1)
        for _ in range(SECONDS_TO_START):
            try:
                connection = listener.accept()
            except TimeoutError:
                if not self._alive():
                    break
            else:
                return connection
        raise self._failure()

    def _receive(self, word: str) -> list[float]:
        try:
            said, *rest = self._connection.recv()
        except (EOFError, ConnectionError):
            raise self._failure() from None
        assert said == word, f"{self.name} said {said} instead of {word}"
        return list(rest)

    def _alive(self) -> bool:
        if isinstance(self._process, subprocess.Popen):
            return self._process.poll() is None
        return bool(self._process.is_alive())

    def _failure(self) -> "ContenderError":
        last = self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-30:]
        return ContenderError(f"`{self.name}` ended by itself:\n" + "\n".join(last))


class ContenderError(Exception):
    """A contender's process failed; with the end of what it printed."""
