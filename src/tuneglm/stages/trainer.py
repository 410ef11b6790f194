"""The Trainer that every stage builds on: its checkpoints are whole, or not to be seen."""

import json
import logging
import math
import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import save_fsdp_optimizer
from peft import PeftModel
from transformers import Trainer
from transformers.trainer import SCHEDULER_NAME
from transformers.training_args import OptimizerNames

from tuneglm.data.collate import PLACES
from tuneglm.errors import ConfigError
from tuneglm.manifest import UNFINISHED, Course, discard, problem_of, publish, seal
from tuneglm.methods.lora import refuse_earlier_rows
from tuneglm.methods.tuned import Tuned
from tuneglm.models.products import EVEN
from tuneglm.stages.averaging import Average
from tuneglm.stages.kept_states import KeptStates
from tuneglm.stages.locate import Place, first_not_finite
from tuneglm.stages.portions import added_up_apart, evened, portions
from tuneglm.stages.sharing import SHARDED, load_parts, save_parts, sharing_of, trained_weights
from tuneglm.stages.watch import SOURCES, SourcedCollator, Watch

STATE_FILE = "trainer_state.json"

log = logging.getLogger(__name__)


class StageTrainer(Trainer):
    """transformers' Trainer, which writes checkpoints where they will lie, file by file.

    Here they are written beside, in OUTPUT/unfinished, and appear when all
    processes have written all of theirs. Older ones go only after that.
    """

    course = Course()
    average: Average | None = None
    # what stands for the frozen layers while it trains; None: they are computed
    kept: KeptStates | None = None

    def __init__(self, tuned: Tuned, at_once: int | None = None, **arguments: Any) -> None:
        with _judged_by_what_is_trained(tuned.model):
            super().__init__(model=tuned.model, **arguments)
        self.sharing = sharing_of(self.args)
        check_sharded(self)
        _scale_on_processor(self.accelerator)
        self.tuned, self._at_once = tuned, at_once
        self._saving = False
        words = tuned.model.config.get_text_config().vocab_size
        self._watch = Watch(self.accelerator, self._locate, blind=math.log(words))
        self.data_collator = SourcedCollator(self.data_collator)
        _walked_to_change_alone(tuned.model)

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
        refuse_earlier_rows(self.tuned.model, Path(resume_from_checkpoint))
        if self.is_fsdp_enabled:
            load_parts(self.model, Path(resume_from_checkpoint))
        elif self.tuned.restore is None:
            super()._load_from_checkpoint(resume_from_checkpoint, model)
        else:
            self.tuned.restore(Path(resume_from_checkpoint))
        if self.average is not None:
            self.average.load(Path(resume_from_checkpoint))

    @property
    def is_of_result(self) -> bool:
        """Whether what is evaluated is what a run would leave: not before its mean has begun."""
        return self.average is None or self.average.count > 0

    def _determine_best_metric(self, metrics: dict[str, float], trial: Any) -> bool:
        """The Trainer's own, of what may be the result."""
        return self.is_of_result and super()._determine_best_metric(metrics, trial)

    def evaluate(self, *arguments: Any, **named: Any) -> dict[str, float]:
        """The Trainer's own, of what would be the result if the run ended here."""
        with nullcontext() if self.average is None else self.average.in_place():
            return super().evaluate(*arguments, **named)

    def _load_best_model(self) -> None:
        """As `_load_from_checkpoint`."""
        if self.is_fsdp_enabled:
            load_parts(self.model, Path(str(self.state.best_model_checkpoint)))
        elif self.tuned.restore is None or self.is_deepspeed_enabled:
            super()._load_best_model()
        else:
            self.tuned.restore(Path(str(self.state.best_model_checkpoint)))
        if self.average is not None:
            self.average.load(Path(str(self.state.best_model_checkpoint)))

    def _init_training_state(
        self,
        max_steps: int,
        num_update_steps_per_epoch: int,
        num_train_epochs: int,
        resume_from_checkpoint: str | None,
        trial: Any,
    ) -> Any:
        """The Trainer's own, which takes the best checkpoint to lie where it once was."""
        begun = super()._init_training_state(
            max_steps, num_update_steps_per_epoch, num_train_epochs, resume_from_checkpoint, trial
        )
        if resume_from_checkpoint is not None and self.state.best_global_step:
            self._find_best(Path(resume_from_checkpoint).parent)
        return begun

    def _find_best(self, folder: Path) -> None:
        """The best checkpoint as it lies in `folder` now; if it is not whole, none was the best."""
        best = folder / f"checkpoint-{self.state.best_global_step}"
        problem = problem_of(best) if best.is_dir() else "it is not there"
        self.state.best_model_checkpoint = None if problem else str(best)
        if problem and self.args.load_best_model_at_end:
            log.warning("`%s` was the best; %s: one of those to come is kept.", best, problem)
            self.state.best_metric = self.state.best_global_step = None

    def whole_weights(self) -> dict[str, torch.Tensor] | None:
        """What a result is made of, in the first process; None where each has the model whole.

        All processes call it at once.
        """
        if self.sharing.kind == "copies":
            return None
        return trained_weights(self.model, self.sharing, keep=self.args.should_save)

    def write_result(self, folder: Path, weights: dict[str, torch.Tensor] | None) -> None:
        """Weights or adapter, and tokenizer, as one process alone writes them."""
        self._save(str(folder), state_dict=weights)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """The Trainer's own, which writes parts of an adapter where the processes hold parts."""
        self.write_result(Path(output_dir or str(self.args.output_dir)), self.whole_weights())

    def _run_epoch(self, *arguments: Any, **named: Any) -> None:
        """The Trainer's own, which would train one step more after a last step's checkpoint."""
        if self.state.global_step < self.state.max_steps and not self.control.should_training_stop:
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
        # every process knows it, and loads it in the end
        is_best = self.state.best_model_checkpoint == str(folder / UNFINISHED / name)
        if is_best:
            self.state.best_model_checkpoint = str(folder / name)
        if is_best and self.args.should_save:
            self.state.save_to_json(str(folder / UNFINISHED / name / STATE_FILE))
        self._save_unlogged(folder / UNFINISHED / name)
        if self.average is not None and self.args.should_save:
            self.average.save(folder / UNFINISHED / name)
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            self._publish(folder / UNFINISHED / name, folder / name)

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        """The Trainer's own; of FSDP's parts it would also write those that are not trained."""
        if not self.is_fsdp_enabled:
            super()._save_optimizer_and_scheduler(output_dir)
            return
        save_parts(self.model, Path(output_dir))
        plugin = self.accelerator.state.fsdp_plugin
        save_fsdp_optimizer(plugin, self.accelerator, self.optimizer, self.model, output_dir)
        if self.args.should_save:
            schedule: Any = self.lr_scheduler
            torch.save(schedule.state_dict(), Path(output_dir) / SCHEDULER_NAME)

    def _publish(self, finished: Path, place: Path) -> None:
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

    def _finalize_training(self, *arguments: Any, **named: Any) -> Any:
        """The Trainer's own, which with a limit of one removes all checkpoints but the best.

        A run that was stopped goes on from the newest, and so does one that is killed before
        its result is written: see `leave_best`.
        """
        limit, self.args.save_total_limit = self.args.save_total_limit, None
        try:
            return super()._finalize_training(*arguments, **named)
        finally:
            self.args.save_total_limit = limit

    def leave_best(self) -> None:
        """Beside a result that is whole: where one checkpoint is to be kept, it is the best."""
        best = self.state.best_model_checkpoint
        if best is None or self.args.save_total_limit != 1 or not self.args.should_save:
            return
        for path in Path(best).parent.glob("checkpoint-*"):
            if path != Path(best):
                discard(path)

    def _save_unlogged(self, checkpoint: Path) -> None:
        """What the Trainer forgets when it resumes: the losses since the last line of the log,
        and those that the run began with.
        """
        unlogged = {
            "loss": float(self._tr_loss),
            "since": self._globalstep_last_logged,
            "beginning": self._watch.beginning,
        }
        self._unlogged_file(checkpoint).write_text(json.dumps(unlogged), encoding="utf-8")

    def _load_rng_state(self, checkpoint: str | None) -> None:
        """The Trainer's own, called once when a run goes on; and the unlogged losses."""
        super()._load_rng_state(checkpoint)
        if checkpoint is not None and self._unlogged_file(Path(checkpoint)).is_file():
            unlogged = json.loads(self._unlogged_file(Path(checkpoint)).read_text("utf-8"))
            self._tr_loss += torch.tensor(unlogged["loss"], device=self._tr_loss.device)
            self._globalstep_last_logged = unlogged["since"]
            self._watch.beginning = unlogged.get("beginning", [])

    @property
    def trained_tokens(self) -> int:
        """Tokens that were trained since this process began, those of all processes together."""
        return self._watch.trained_tokens

    def _unlogged_file(self, checkpoint: Path) -> Path:
        return checkpoint / f"unlogged_{self.args.process_index}.json"

    def _prepare_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """The Trainer's own; the rows' sources stay with the watch."""
        return super()._prepare_inputs(self._watch.taken(inputs) if SOURCES in inputs else inputs)

    def _locate(self, batch: Any) -> Place | None:
        """Where a batch's numbers first are none, where its whole model is at hand."""
        if self.is_fsdp_enabled or self.is_deepspeed_enabled:
            return None
        network = self.accelerator.unwrap_model(self.model)
        # the frozen layers are looked at, too
        batch = {name: each for name, each in batch.items() if name != PLACES}

        def loss_of(inputs: Any) -> torch.Tensor:
            with self.compute_loss_context_manager():
                loss: Any = self.compute_loss(network, dict(inputs), num_items_in_batch=1)
            return torch.as_tensor(loss)

        return first_not_finite(network, super()._prepare_inputs(batch), loss_of)

    def _below(self, places: torch.Tensor | None) -> AbstractContextManager[None]:
        """Within it the frozen layers hand on what is kept of a batch, where something is."""
        if self.kept is None or places is None:
            return nullcontext()
        return self.kept.handed_on(places)

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Any:
        """The Trainer's own, watched, for a portion of the batch after the other."""
        inputs = self._watch.taken(inputs)
        parts = [inputs]
        if self._at_once is not None and self._can_part and num_items_in_batch is not None:
            even = EVEN.get(self.args.device.type, 1)
            parts = [evened(part, even) for part in portions(inputs, self._at_once)]
        loss = torch.zeros((), device=self.args.device)
        # of several processes the last portion hands all gradients round
        is_alone = len(parts) > 1 and self.args.world_size == 1
        with added_up_apart(model) if is_alone else nullcontext():
            for number, part in enumerate(parts, 1):
                is_last = number == len(parts)
                with nullcontext() if is_last else self.accelerator.no_sync(model):
                    loss = loss + super().training_step(model, part, num_items_in_batch)
        self._watch.batch(loss, num_items_in_batch)
        return loss

    @property
    def _can_part(self) -> bool:
        """Whether gradients may add up: not where each way back is counted, or changes weights."""
        counts = self.sharing.kind != "copies" or self.is_deepspeed_enabled
        optimizer = str(OptimizerNames(self.args.optim).value)
        return not (counts or "lomo" in optimizer or "layerwise" in optimizer)

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


def _scale_on_processor(accelerator: Accelerator) -> None:
    """Scale the loss for float16 as on a GPU: on a processor accelerate leaves it out, unsaid."""
    if accelerator.device.type == "cpu" and accelerator.mixed_precision == "fp16":
        log.warning("float16 on a processor takes longer than float32, and saves memory alone.")
        accelerator.native_amp, accelerator.scaler = True, torch.amp.GradScaler("cpu")


def check_sharded(trainer: StageTrainer) -> None:
    """Raise ConfigError where FSDP is asked for and, without a word, shares nothing out.

    Its checkpoints are written in parts: whole ones cannot be written of an adapter.
    """
    if trainer.sharing.kind != "fsdp":
        return
    if not trainer.is_fsdp_enabled:
        raise ConfigError(
            "FSDP is asked for, and each process would hold the whole model: accelerate shares "
            f"it out on GPUs, not on `{trainer.args.device.type}`.",
            "leave it out: the processes then share the rows alone",
        )
    plugin = trainer.accelerator.state.fsdp_plugin
    if plugin.fsdp_version != 2:
        raise ConfigError(
            "FSDP is asked for in its first version, which peft's adapters do not go with.",
            "training.fsdp_config.version=2, or in accelerate's file fsdp_version: 2",
        )
    plugin.state_dict_config = plugin.optim_state_dict_config = None
    plugin.set_state_dict_type(SHARDED)
    plugin.cpu_ram_efficient_loading = True


def _walked_to_change_alone(model: Any) -> None:
    """Let `model.train(mode)` go through the modules only where the model is in the other mode.

    The Trainer calls it for every portion, and a model of 28 layers with adapters has more than
    a thousand modules: some milliseconds, in which a GPU waits. Whoever wraps the model reaches
    it as one of its modules, and it alone knows its mode: evaluation sets it without the wrapper.
    """
    model.train()

    def train(mode: bool = True) -> Any:
        return model if model.training == mode else type(model).train(model, mode)

    model.train = train


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """Within it a model drops nothing out and checkpoints nothing."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)
