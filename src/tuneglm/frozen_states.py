"""What frozen layers hand on, computed once for a run whose last layers alone are trained.

    keep_frozen_states    the states of all rows, in OUTPUT/frozen_states, where that pays
    forget_frozen_states  removed when the run has ended

They are larger than all else that a run leaves, and fit no other run: so they go with it. A run
that was stopped finds them again, or makes the same ones anew.
"""

import logging
import math
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from rich.console import Console
from torch import Tensor
from transformers import TrainingArguments

from tuneglm.checkpoints import STATES, Output
from tuneglm.config import RunConfig
from tuneglm.data.batches import Groups
from tuneglm.data.encoded import Encoded, MixedRows, placed
from tuneglm.manifest import read_manifest
from tuneglm.method_config import FreezeConfig
from tuneglm.models.frozen import draws_numbers, frozen_below, handing_on, states_below
from tuneglm.models.quantization import is_quantized
from tuneglm.plan.capacity import GIB, MIB, gib
from tuneglm.plan.ledger import Ledger
from tuneglm.reports.data import EncodingProgress
from tuneglm.reports.terminal import plain
from tuneglm.stages.kept_states import About, KeptStates, is_kept
from tuneglm.stages.making_states import (
    about_states,
    batch_of,
    first_group,
    for_network,
    is_of_row,
    states_of,
    undisturbed,
    write_states,
)
from tuneglm.stages.trainer import StageTrainer

# so many times as much would have to be computed, and no less, is a file of states worth it
WORTH_IT = 1.3
LEAST_EPOCHS = 2.0
LOOKED_AT = 4  # rows whose operations are counted
# left free on the disk, beside room for two checkpoints: a trained weight and AdamW's two of it
MARGIN, CHECKPOINTS, CHECKPOINT_BYTES = GIB, 2, 12
# what a network says that cannot be run in parts
STOPS = (RuntimeError, TypeError, ValueError, LookupError, AttributeError)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Work:
    """Floating-point operations of some rows in a step, and of the frozen layers in it."""

    whole: float
    below: float

    def saving(self, epochs: float) -> float:
        """How many times as much is computed in so many epochs where nothing is kept."""
        above = self.whole - self.below
        return epochs * self.whole / (self.below + epochs * above)


def keep_frozen_states(
    terminal: Console, config: RunConfig, trainer: StageTrainer, output: Output
) -> None:
    """Let a run's frozen layers be computed once where that pays; says so, or that no room is left.

    Weights and random numbers are afterwards what they were before.
    """
    reason = reason_against(config, trainer)
    if reason is None and not _is_over(trainer, output):
        try:
            with undisturbed(trainer):
                reason = _kept(terminal, trainer, output.folder)
        except torch.OutOfMemoryError:
            reason = "memory is short"
            terminal.print(
                "[yellow]Note:[/] Memory is too short to compute the frozen layers at once: they "
                "are computed in every step."
            )
    if reason is not None:
        log.debug("The frozen layers are computed in every step: %s.", reason)


def forget_frozen_states(trainer: StageTrainer, folder: Path) -> None:
    """Remove the states of a run that has ended."""
    if trainer.kept is not None:
        trainer.kept.close()
        trainer.kept = None
    if trainer.is_world_process_zero():
        shutil.rmtree(folder / STATES, ignore_errors=True)


def reason_against(config: RunConfig, trainer: StageTrainer) -> str | None:
    """What in a run's settings stands against it; None: nothing."""
    return next(_reasons_against(config, trainer), None)


def _reasons_against(config: RunConfig, trainer: StageTrainer) -> Iterator[str]:
    arguments, model = trainer.args, trainer.tuned.model
    if not isinstance(config.method, FreezeConfig) or config.method.frozen_states == "off":
        yield "it is not asked for"
    elif config.method.frozen_states == "auto" and arguments.device.type != "cpu":
        yield "whether reading pays is not known of a GPU"
    if config.data.streaming:
        yield "rows are streamed"
    if arguments.world_size > 1 or arguments.n_gpu > 1 or trainer.sharing.kind != "copies":
        yield "several processes or devices share the work"
    if trainer.is_deepspeed_enabled or arguments.torch_compile:
        yield "another library runs the model"
    if arguments.neftune_noise_alpha:
        yield "noise is added to the embeddings"
    if isinstance(model, PeftModel) or not frozen_below(model):
        yield "something is trained before the layers or in the first of them"
    if draws_numbers(model):
        yield "the network drops something out"


def reason_of_work(trainer: StageTrainer, rows: MixedRows, once: MixedRows) -> str | None:
    """What is found out by running some rows: that it does not pay, or that it cannot be."""
    epochs = epochs_of(trainer, rows, once)
    if epochs < LEAST_EPOCHS:
        return "rows are not seen twice"
    try:
        saving = work_of(trainer, rows).saving(epochs)
        if saving < WORTH_IT:
            return f"it would save too little ({saving:.2f} times)"
        return _misfit(trainer, first_group(trainer, once), once[len(once) - 1])
    except torch.OutOfMemoryError:
        raise
    except STOPS as error:
        return f"the network stops with “{' '.join(str(error).split())[:100]}”"


def epochs_of(trainer: StageTrainer, rows: MixedRows, once: MixedRows) -> float:
    """How often a run sees each different row, on average of their tokens."""
    arguments, items = trainer.args, _items(trainer)
    epochs = float(arguments.num_train_epochs)
    if arguments.max_steps > 0:
        epochs = arguments.max_steps * _items_a_step(arguments) / items
    return epochs * float(rows.lengths.sum() / once.lengths.sum())


def work_of(trainer: StageTrainer, rows: MixedRows) -> Work:
    """Counted while a few of the rows, evenly spread, go forward and back."""
    model = trainer.tuned.model
    counted, reached, below = Ledger(model.config.get_text_config().vocab_size), [0.0], 0.0
    hook = frozen_below(model)[-1].register_forward_hook(
        lambda *_: reached.append(counted.operations)
    )
    model.train()
    try:
        count = min(LOOKED_AT, len(rows))
        for number in range(count):
            inputs = batch_of(trainer, [rows[number * len(rows) // count]])
            begun = counted.operations
            with counted:
                with trainer.accelerator.autocast():
                    loss: Any = trainer.compute_loss(model, inputs)
                below += reached[-1] - begun
                loss.backward()
    finally:
        hook.remove()
        for weight in model.parameters():
            weight.grad = None
    return Work(counted.operations, below)


def _misfit(trainer: StageTrainer, rows: Sequence[Encoded], other: Encoded) -> str | None:
    """Whether a network that begins with states says something else than it would: it is tried.

    other  a row that it reads in between: what a layer may leave behind for others is then its
    """
    model, inputs = trainer.tuned.model, batch_of(trainer, rows)
    given, below = for_network(inputs), frozen_below(model)
    if not _are_alike(trainer, states_of(trainer, rows), states_of(trainer, rows, training=True)):
        return "the frozen layers compute something else in training"
    model.eval()
    with torch.no_grad(), trainer.accelerator.autocast():
        whole = model.base_model(**given, use_cache=False)[0]
        states = states_below(model, below, given)
        model.base_model(**for_network(batch_of(trainer, [other])), use_cache=False)
        with handing_on(below, states):
            begun = model.base_model(**given, use_cache=False)[0]
    real = is_of_row(inputs)
    if not _are_alike(trainer, begun[real], whole[real]):
        return "the trained layers need more than the states"
    return None


def _are_alike(trainer: StageTrainer, one: Tensor, other: Tensor) -> bool:
    """Whether two differ by no more than half of the digits of the type that is computed in."""
    is_rough = trainer.accelerator.mixed_precision != "no" or is_quantized(trainer.tuned.model)
    allowed = torch.finfo(torch.bfloat16 if is_rough else one.dtype).eps ** 0.5
    difference = (one.float() - other.float()).norm() / other.float().norm()
    return bool(difference <= allowed)


def _kept(terminal: Console, trainer: StageTrainer, folder: Path) -> str | None:
    """Give the Trainer the states in a run's folder, made where they are not there; or why not."""
    given: Any = trainer.train_dataset
    rows, once = placed(_rows(trainer))
    reason = reason_of_work(trainer, rows, once)
    if reason is not None:
        return reason
    place, about = folder / STATES, about_states(trainer, once)
    is_there = is_kept(place, about)
    if not is_there:
        shutil.rmtree(place, ignore_errors=True)
    if not is_there and not _has_room(terminal, trainer, about, folder):
        return "the disk has no room"
    terminal.print(
        f"States   of {len(frozen_below(trainer.tuned.model))} frozen layers, computed once: "
        f"{_size(about.size)} in {plain(str(place))} until the run ends"
    )
    try:
        if not is_there:
            with EncodingProgress(terminal, "Computing") as tell:
                write_states(
                    trainer, once, about, place, lambda done: tell("the frozen layers", done)
                )
        trainer.kept = KeptStates(place, about, frozen_below(trainer.tuned.model))
    except OSError as error:
        terminal.print(
            f"[yellow]Note:[/] They cannot be kept ({error.strerror}): the frozen layers are "
            "computed in every step."
        )
        return "the disk is full"
    trainer.kept.asks_gradient = bool(trainer.args.gradient_checkpointing)
    trainer.train_dataset = replace(given, rows=rows) if isinstance(given, Groups) else rows
    return None


def _has_room(terminal: Console, trainer: StageTrainer, about: About, folder: Path) -> bool:
    trained = sum(each.numel() for each in trainer.tuned.model.parameters() if each.requires_grad)
    free = shutil.disk_usage(folder).free
    has_room = free >= about.size + MARGIN + CHECKPOINTS * CHECKPOINT_BYTES * trained
    if not has_room:
        terminal.print(
            f"[yellow]Note:[/] The frozen layers are computed in every step: to keep their states "
            f"takes {_size(about.size)} beside room for checkpoints, and {plain(str(folder))} has "
            f"{_size(free)}."
        )
    return has_room


def _size(size: float) -> str:
    return f"{gib(size)} GiB" if size >= GIB else f"{math.ceil(size / MIB):,} MiB"


def _rows(trainer: StageTrainer) -> MixedRows:
    given: Any = trainer.train_dataset
    rows = given.rows if isinstance(given, Groups) else given
    assert isinstance(rows, MixedRows), "streams are refused before"
    return rows


def _is_over(trainer: StageTrainer, output: Output) -> bool:
    """Whether a run that goes on has no step before it."""
    manifest = None if output.checkpoint is None else read_manifest(output.checkpoint)
    if manifest is None:
        return False
    arguments = trainer.args
    epochs = math.ceil(_items(trainer) / _items_a_step(arguments)) * arguments.num_train_epochs
    return manifest.step >= (arguments.max_steps if arguments.max_steps > 0 else math.ceil(epochs))


def _items(trainer: StageTrainer) -> int:
    given: Any = trainer.train_dataset
    return len(given)


def _items_a_step(arguments: TrainingArguments) -> int:
    accumulated = arguments.train_batch_size * arguments.gradient_accumulation_steps
    return accumulated * arguments.world_size
