"""The plan of a run that is being filled in: `tuneglm plan … --json --brief`, the newest alone."""

import json
import signal
import subprocess
import sys
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
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
# what plans the run file that is named behind it
COMMAND = (sys.executable, "-m", "tuneglm", "plan")


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
    ) -> Iterator[dict[str, Any]]:
        """The plan; of what does not fit also a second one, with what would.

        patience  seconds in which somebody who types may ask for another one

        Nothing where a newer one was asked. Raises ConfigError with the sentence in which
        the command refuses.
        """
        self._newest[who] = yaml
        time.sleep(patience)
        with TemporaryDirectory() as folder:
            file = Path(folder) / "run.yaml"
            file.write_text(yaml, encoding="utf-8")
            for options in (["--brief"], []):
                if self._newest.get(who) != yaml:
                    return
                answer = self._done(self._started(who, file, directory, options))
                if answer is None:
                    return
                self._keep(yaml, answer)
                yield answer
                if answer["fits"] is not False:
                    return

    def give_up(self, who: str) -> None:
        """Nobody waits for it any more."""
        self._newest.pop(who, None)
        with self._lock:
            asked = self._asked.pop(who, None)
            if asked is not None:
                asked.kill()

    def _started(
        self, who: str, file: Path, directory: Path, options: Sequence[str]
    ) -> "subprocess.Popen[str]":
        with self._lock:
            before = self._asked.pop(who, None)
            if before is not None:
                before.kill()
            process = subprocess.Popen(
                [*COMMAND, str(file), "--json", *options],
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                encoding="utf-8",
            )
            self._asked[who] = process
        return process

    def _done(self, process: "subprocess.Popen[str]") -> dict[str, Any] | None:
        """What it prints; None of one that was given up."""
        try:
            output, error = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            raise ConfigError(
                "The plan takes too long.", "the run itself asks for it once more"
            ) from None
        finally:
            process.kill()
            process.wait()
        if process.returncode == -signal.SIGKILL:
            return None
        if "Error: " in error:
            sentence, _, hint = error[error.rfind("Error: ") + 7 :].strip().partition("\n  hint: ")
            raise ConfigError(sentence, hint or None)
        answer: dict[str, Any] = json.loads(output[output.index("{") :])
        return answer

    def _keep(self, yaml: str, answer: dict[str, Any]) -> None:
        self._answers[yaml] = answer
        while len(self._answers) > KEPT:
            self._answers.popitem(last=False)
