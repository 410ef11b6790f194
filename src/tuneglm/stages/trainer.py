"""The Trainer that every stage builds on: its checkpoints are whole, or not to be seen."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import Trainer

from tuneglm.errors import ConfigError
from tuneglm.manifest import UNFINISHED, Course, discard, publish, seal
from tuneglm.methods.tuned import Tuned
from tuneglm.stages.watch import SourcedCollator, Watch

STATE_FILE = "trainer_state.json"


class StageTrainer(Trainer):
    """transformers' Trainer, which writes checkpoints where they will lie, file by file.

    Here they are written beside, in OUTPUT/unfinished, and appear when all
    processes have written all of theirs. Older ones go only after that.
    """

    course = Course()

    def __init__(self, tuned: Tuned, **arguments: Any) -> None:
        with _judged_by_what_is_trained(tuned.model):
            super().__init__(model=tuned.model, **arguments)
        check_sharded(self)
        self.tuned = tuned
        self._saving = False
        self._watch = Watch(self.accelerator)
        self.data_collator = SourcedCollator(self.data_collator)

    def create_optimizer(self, *arguments: Any, **named: Any) -> Any:
        """The Trainer's own, with the learning rates that the method gives to some weights."""
        is_new = self.optimizer is None
        optimizer = super().create_optimizer(*arguments, **named)
        if is_new and self.tuned.rates:
            weights = dict(self.tuned.model.named_parameters())
            _give_rates(optimizer, {weights[name]: by for name, by in self.tuned.rates.items()})
        return optimizer

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """The Trainer's own, or the method's where it saves what the Trainer does not know."""
        if self.tuned.restore is None or self.is_fsdp_enabled:
            super()._load_from_checkpoint(resume_from_checkpoint, model)
        else:
            self.tuned.restore(Path(resume_from_checkpoint))

    def _load_best_model(self) -> None:
        """As `_load_from_checkpoint`."""
        if self.tuned.restore is None or self.is_fsdp_enabled or self.is_deepspeed_enabled:
            super()._load_best_model()
        else:
            self.tuned.restore(Path(str(self.state.best_model_checkpoint)))

    def _run_epoch(self, *arguments: Any, **named: Any) -> None:
        """The Trainer's own, which would train one step more after a last step's checkpoint."""
        if self.state.global_step < self.state.max_steps:
            super()._run_epoch(*arguments, **named)

    def _get_output_dir(self, trial: Any) -> str:
        """Where checkpoints are: while one is being written, the place beside."""
        folder = super()._get_output_dir(trial)
        return str(Path(folder) / UNFINISHED) if self._saving else folder

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """The Trainer's own, and what makes the checkpoint whole."""
        folder = Path(self._get_output_dir(trial))
        name = f"checkpoint-{self.state.global_step}"
        if self.args.should_save:
            shutil.rmtree(folder / UNFINISHED, ignore_errors=True)
            (folder / UNFINISHED).mkdir(parents=True)
        self.accelerator.wait_for_everyone()
        self._saving = True
        super()._save_checkpoint(model, trial)
        self._saving = False
        self._save_unlogged(folder / UNFINISHED / name)
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            self._publish(folder / UNFINISHED / name, folder / name)

    def _publish(self, finished: Path, place: Path) -> None:
        if self.state.best_model_checkpoint == str(finished):
            self.state.best_model_checkpoint = str(place)
            self.state.save_to_json(str(finished / STATE_FILE))
        resumable = not self.args.save_only_model
        seal(finished, self.state.global_step, self.course, resumable=resumable)
        publish(finished, place)
        self._discard_old(place)
        shutil.rmtree(finished.parent, ignore_errors=True)

    def _discard_old(self, newest: Path) -> None:
        """Keep `save_total_limit`, the newest and the best among them.

        First go those of later steps: a course that was left for an earlier checkpoint.
        """
        limit = self.args.save_total_limit
        if limit is None or limit <= 0:
            return
        kept = {str(newest), self.state.best_model_checkpoint}
        steps = {
            path: int(path.name.rpartition("-")[2])
            for path in newest.parent.glob("checkpoint-*")
            if path.name.rpartition("-")[2].isdecimal()
        }
        oldest = sorted(steps, key=lambda path: (steps[path] <= steps[newest], steps[path]))
        surplus = len(oldest) - max(limit, len(kept - {None}))
        for path in [path for path in oldest if str(path) not in kept][: max(surplus, 0)]:
            discard(path)

    def _save_unlogged(self, checkpoint: Path) -> None:
        """The losses since the last line of the log: the Trainer forgets them when it resumes."""
        unlogged = {"loss": float(self._tr_loss), "since": self._globalstep_last_logged}
        self._unlogged_file(checkpoint).write_text(json.dumps(unlogged), encoding="utf-8")

    def _load_rng_state(self, checkpoint: str | None) -> None:
        """The Trainer's own, called once when a run goes on; and the unlogged losses."""
        super()._load_rng_state(checkpoint)
        if checkpoint is not None and self._unlogged_file(Path(checkpoint)).is_file():
            unlogged = json.loads(self._unlogged_file(Path(checkpoint)).read_text("utf-8"))
            self._tr_loss += torch.tensor(unlogged["loss"], device=self._tr_loss.device)
            self._globalstep_last_logged = unlogged["since"]

    def _unlogged_file(self, checkpoint: Path) -> Path:
        return checkpoint / f"unlogged_{self.args.process_index}.json"

    def _prepare_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """The Trainer's own; the rows' sources stay with the watch."""
        return super()._prepare_inputs(self._watch.taken(inputs))

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Any:
        """The Trainer's own, watched."""
        loss = super().training_step(model, inputs, num_items_in_batch)
        self._watch.batch(loss, num_items_in_batch)
        return loss

    def _get_grad_norm(self, model: Any, grad_norm: Any = None) -> Any:
        """The Trainer's own, watched: the last that it does before the weights are changed."""
        norm = super()._get_grad_norm(model, grad_norm=grad_norm)
        # DeepSpeed does not always know it
        known = None if norm is None else float(norm)
        self._watch.step(self.state, known, self._get_learning_rate())
        return norm


@contextmanager
def _judged_by_what_is_trained(model: Any) -> Iterator[None]:
    """The Trainer refuses packed weights without an adapter of peft's, whatever else is trained."""
    packed = getattr(model, "is_quantized", False) and not isinstance(model, PeftModel)
    if packed:
        model.is_quantized = False
    try:
        yield
    finally:
        if packed:
            model.is_quantized = True


def _give_rates(optimizer: Any, factors: Mapping[torch.Tensor, float]) -> None:
    """Move weights with a learning rate of their own into groups of their own."""
    for group in list(optimizer.param_groups):
        own = [weight for weight in group["params"] if weight in factors]
        group["params"] = [weight for weight in group["params"] if weight not in factors]
        for factor in dict.fromkeys(factors[weight] for weight in own):
            weights = [weight for weight in own if factors[weight] == factor]
            rate = {"params": weights, "lr": group["lr"] * factor}
            optimizer.add_param_group({**group, **rate})


def check_sharded(trainer: Trainer) -> None:
    """Raise ConfigError where FSDP is asked for and, without a word, shares nothing out."""
    by_launcher = os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true"
    is_asked = trainer.args.world_size > 1 and (by_launcher or trainer.args.fsdp)
    if is_asked and not trainer.is_fsdp_enabled:
        raise ConfigError(
            "FSDP is asked for, and each process would hold the whole model: accelerate shares "
            f"it out on GPUs, not on `{trainer.args.device.type}`.",
            "leave it out: the processes then share the rows alone",
        )


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """Within it a model drops nothing out and checkpoints nothing."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)
