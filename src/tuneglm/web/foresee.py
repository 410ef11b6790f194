"""The plan of a run that is being filled in: `tuneglm plan … --json`, the newest alone."""

import json
import signal
import subprocess
import sys
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any

from tuneglm.errors import ConfigError

# seconds after which a plan is given up
PATIENCE = 240.0
# answers that are kept
KEPT = 64
_PAUSE = 0.5


@dataclass
class Plans:
    """One plan at a time for each person: what was asked before is given up."""

    _answers: OrderedDict[str, dict[str, Any]] = field(default_factory=OrderedDict)
    _asked: "dict[str, subprocess.Popen[str]]" = field(default_factory=dict)
    _newest: dict[str, str] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def known(self, yaml: str) -> dict[str, Any] | None:
        """The answer to a run file, if it was asked before."""
        return self._answers.get(yaml)

    def ask(
        self, who: str, yaml: str, directory: Path, patience: float
    ) -> Iterator[dict[str, Any] | None]:
        """None, again and again, until the plan is there; nothing where a newer one was asked.

        patience  seconds in which somebody who types may ask for another one

        Raises ConfigError with the sentence in which the command refuses.
        """
        self._newest[who] = yaml
        time.sleep(patience)
        if self._newest.get(who) != yaml:
            return
        with TemporaryDirectory() as folder:
            file = Path(folder) / "run.yaml"
            file.write_text(yaml, encoding="utf-8")
            process = self._started(who, file, directory)
            try:
                yield from self._until_done(process, yaml)
            finally:
                process.kill()
                process.wait()
                if self._newest.get(who) == yaml:
                    del self._newest[who]

    def _started(self, who: str, file: Path, directory: Path) -> "subprocess.Popen[str]":
        with self._lock:
            before = self._asked.pop(who, None)
            if before is not None:
                before.kill()
            process = subprocess.Popen(
                [sys.executable, "-m", "tuneglm", "plan", str(file), "--json"],
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                encoding="utf-8",
            )
            self._asked[who] = process
        return process

    def _until_done(
        self, process: "subprocess.Popen[str]", yaml: str
    ) -> Iterator[dict[str, Any] | None]:
        waited = 0.0
        while waited < PATIENCE:
            try:
                output, error = process.communicate(timeout=_PAUSE)
            except subprocess.TimeoutExpired:
                waited += _PAUSE
                yield None
                continue
            if process.returncode == -signal.SIGKILL:
                return
            yield self._answer(yaml, output, error)
            return
        raise ConfigError("The plan takes too long.", "the run itself asks for it once more")

    def _answer(self, yaml: str, output: str, error: str) -> dict[str, Any]:
        if "Error: " in error:
            sentence, _, hint = error[error.rfind("Error: ") + 7 :].strip().partition("\n  hint: ")
            raise ConfigError(sentence, hint or None)
        answer: dict[str, Any] = json.loads(output[output.index("{") :])
        self._answers[yaml] = answer
        while len(self._answers) > KEPT:
            self._answers.popitem(last=False)
        return answer
