"""Weight averaging: a run's result is the mean of the weights that its last steps left.

Averaging weights along one course lies in a flatter place than its end, and answers more evenly
(Izmailov et al., "Averaging Weights Leads to Wider Optima and Better Generalization",
arXiv:1803.05407).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn
from transformers import TrainerCallback

AVERAGE_FILE = "average.safetensors"
# in its metadata: the steps of which it is the mean
FIRST, COUNT = "first", "count"


class Average(TrainerCallback):
    """The mean of a model's trained weights after each step of the last `share` of a run.

    Checkpoints carry it beside the weights that are trained on, so a run that goes on averages
    the same steps. It takes four bytes a trained weight.

    first, count  the step that the mean begins with, and how many are in it
    """

    def __init__(self, model: nn.Module, share: float) -> None:
        self.share = share
        self.first = self.count = 0
        self._weights = {
            name: weight for name, weight in model.named_parameters() if weight.requires_grad
        }
        self._means: dict[str, torch.Tensor] = {}
        self._is_in_place = False

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """A run that goes on to another end may have begun its mean too soon for it."""
        if self.count and self.first < first_of(self.share, state.max_steps):
            self._drop()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Take the weights of this step into the mean, if it is one of the last."""
        if state.global_step < first_of(self.share, state.max_steps):
            return
        if not self.count:
            self.first = state.global_step
        self.count += 1
        for name, weight in self._weights.items():
            if self.count == 1:
                # a safetensors file takes no others
                self._means[name] = weight.detach().clone(memory_format=torch.contiguous_format)
            else:
                self._means[name].lerp_(weight.detach(), 1 / self.count)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """What was trained becomes the mean."""
        self._give()

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Within it the model has the mean for its weights, where there is one."""
        if self._is_in_place:
            yield
            return
        self._swap()
        self._is_in_place = True
        try:
            yield
        finally:
            self._is_in_place = False
            self._swap()

    def save(self, checkpoint: Path) -> None:
        """Write the mean into a checkpoint, where there is one."""
        if self.count:
            steps = {FIRST: str(self.first), COUNT: str(self.count)}
            save_file(self._means, checkpoint / AVERAGE_FILE, metadata=steps)

    def load(self, checkpoint: Path) -> None:
        """The mean as it was when `checkpoint` was saved: none before the last steps began."""
        self._drop()
        file = checkpoint / AVERAGE_FILE
        if not file.is_file():
            return
        with safe_open(file, "pt") as saved:
            steps = saved.metadata()
            self.first, self.count = int(steps[FIRST]), int(steps[COUNT])
            for name, weight in self._weights.items():
                self._means[name] = saved.get_tensor(name).to(weight.device)

    def _drop(self) -> None:
        self.first, self.count, self._means = 0, 0, {}

    @torch.no_grad()
    def _give(self) -> None:
        """The model has the mean for good."""
        for name, mean in self._means.items():
            self._weights[name].copy_(mean)

    @torch.no_grad()
    def _swap(self) -> None:
        for name, mean in self._means.items():
            weight = self._weights[name]
            trained = weight.clone()
            weight.copy_(mean)
            mean.copy_(trained)


def first_of(share: float, steps: int) -> int:
    """The first of the last steps: 0.3 of ten are 8, 9 and 10; at least one is."""
    return steps - max(1, round(share * steps)) + 1
