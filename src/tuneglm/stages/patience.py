"""Early stopping: a run ends when its evaluation loss has not fallen for some time."""

from typing import Any

from transformers import TrainerCallback

HELD = "eval_loss"


class Patience(TrainerCallback):
    """Ends a run when so many evaluations in a row brought no loss below the lowest.

    It is counted in the log that each checkpoint carries: a run that goes on counts on,
    and one that was killed after it had ended trains no further.
    """

    def __init__(self, evaluations: int) -> None:
        self.evaluations = evaluations

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """A run that goes on from where it had ended."""
        self._judge(state, control)

    def on_evaluate(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The evaluation's loss is the last of the log."""
        self._judge(state, control)

    def _judge(self, state: Any, control: Any) -> None:
        if since_lowest(state.log_history) >= self.evaluations:
            control.should_training_stop = True


def since_lowest(log: list[dict[str, Any]]) -> int:
    """Evaluations after the one with the lowest loss."""
    losses = [entry[HELD] for entry in log if HELD in entry]
    return len(losses) - 1 - losses.index(min(losses)) if losses else 0
