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
STEPS = "steps"


class Average(TrainerCallback):
    """The mean of a model's trained weights after each step of the last `share` of a run.

    Checkpoints carry it beside the weights that are trained on, so a run that goes on averages
    the same steps. It takes four bytes a trained weight.
    """

    def __init__(self, model: nn.Module, share: float) -> None:
        self.share = share
        self.steps = 0  # so many are in the mean
        self._weights = {
            name: weight for name, weight in model.named_parameters() if weight.requires_grad
        }
        self._means: dict[str, torch.Tensor] = {}

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Take the weights of this step into the mean, if it is one of the last."""
        if state.global_step <= (1 - self.share) * state.max_steps:
            return
        self.steps += 1
        for name, weight in self._weights.items():
            if self.steps == 1:
                self._means[name] = weight.detach().clone()
            else:
                self._means[name].lerp_(weight.detach(), 1 / self.steps)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """What was trained becomes the mean."""
        self.settle()

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Within it the model has the mean for its weights, where there is one."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def settle(self) -> None:
        """Give the model the mean for good."""
        for name, mean in self._means.items():
            self._weights[name].copy_(mean)

    def save(self, checkpoint: Path) -> None:
        """Write the mean into a checkpoint, where there is one."""
        if self.steps:
            steps = {STEPS: str(self.steps)}
            save_file(self._means, checkpoint / AVERAGE_FILE, metadata=steps)

    def load(self, checkpoint: Path) -> None:
        """The mean as it was when `checkpoint` was saved: none before the last steps began."""
        self.steps, self._means = 0, {}
        file = checkpoint / AVERAGE_FILE
        if not file.is_file():
            return
        with safe_open(file, "pt") as saved:
            self.steps = int(saved.metadata()[STEPS])
            for name, weight in self._weights.items():
                self._means[name] = saved.get_tensor(name).to(weight.device)

    @torch.no_grad()
    def _swap(self) -> None:
        for name, mean in self._means.items():
            weight = self._weights[name]
            trained = weight.clone()
            weight.copy_(mean)
            mean.copy_(trained)
