"""Ctrl-C, or a cluster's SIGTERM, in a run: a checkpoint, and the same command goes on."""

import signal
import threading
import time
from types import FrameType
from typing import Any

from transformers import TrainerCallback

from tuneglm.processes import Ballot

SECONDS_OF_ONE_PRESS = 2.0


class SaveOnInterrupt(TrainerCallback):
    """A signal ends the step, saves a checkpoint and stops; a second one, later, stops at once.

    In the last step, or in the evaluation after it, nothing is left to stop: the
    run ends as it would have. Of several processes one that is asked is enough:
    all stop after the same step.
    """

    def __init__(self) -> None:
        self.stopped_by: int | None = None
        self._asked = 0
        self._asked_at = 0.0
        self._before: dict[int, Any] = {}
        self._ballot: Ballot | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Take the signals; in another thread than the main one Python has none."""
        self._ballot = Ballot()
        if threading.current_thread() is threading.main_thread():
            self._before = {
                number: signal.signal(number, self._ask)
                for number in (signal.SIGINT, signal.SIGTERM)
            }

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Where a step ends, everything can be saved."""
        assert self._ballot is not None
        asked = self._ballot.largest(self._asked)
        if asked and state.global_step < state.max_steps:
            self.stopped_by = asked
            control.should_save = True
            control.should_training_stop = True

    def release(self) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _ask(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        # a key that was hit twice means once
        if self._asked and now - self._asked_at > SECONDS_OF_ONE_PRESS:
            raise KeyboardInterrupt
        self._asked_at = self._asked_at if self._asked else now
        self._asked = self._asked or number
