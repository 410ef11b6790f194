"""What a run says of itself: what it is as it begins, what it took and brought as it ends."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import nn
from transformers import Trainer, TrainingArguments

from tuneglm.config import RunConfig
from tuneglm.data.batches import Batches
from tuneglm.data.mix import EncodedSet
from tuneglm.data.stream import StreamedRows, StreamedSet
from tuneglm.methods.presets import doubt_of_rate, doubt_of_steps
from tuneglm.models.family import Family
from tuneglm.models.products import by_onednn
from tuneglm.models.quantization import held_bits
from tuneglm.plan.capacity import peak_memory
from tuneglm.processors import use_threads
from tuneglm.reports.closing import Closing
from tuneglm.reports.run import Progression, Summary, TrainingResult
from tuneglm.stages.trainer import StageTrainer


def summary_of(
    config: RunConfig,
    family: Family,
    trainer: Trainer,
    given: Batches,
    rows: EncodedSet | StreamedSet,
) -> Summary:
    """What a run is, as it begins."""
    model: Any = trainer.model
    arguments = trainer.args
    items = items_a_step(arguments)
    steps, rows_a_step = float(arguments.max_steps), float(items)
    if isinstance(rows, EncodedSet) and not isinstance(given.train, StreamedRows):
        steps_an_epoch = math.ceil(len(given.train) / items)
        steps = steps if steps > 0 else steps_an_epoch * arguments.num_train_epochs
        rows_a_step = rows_a_step if not given.sentence else len(rows.rows) / steps_an_epoch
    dtype = str(model.dtype).removeprefix("torch.")
    held = f"{bits} bits" if (bits := held_bits(model)) else dtype
    autocast = "bfloat16" if arguments.bf16 else "float16" if arguments.fp16 else "float32"
    # halves are multiplied by one library in any case
    library = ""
    if autocast == "float32" and arguments.device.type == "cpu":
        library = f", products by {'oneDNN' if by_onednn() else 'torch.mm'}"
    return Summary(
        model=config.model.path,
        family=family.name,
        method=config.method.name,
        precision=f"weights in {held}, computed in {autocast}{library}",
        device=_device(arguments),
        trained=sum(weight.numel() for weight in model.parameters() if weight.requires_grad),
        parameters=parameter_count(model),
        steps=math.ceil(steps),
        rows_a_step=rows_a_step,
        packs=isinstance(given.train, StreamedRows) and given.train.stream.capacity is not None,
        epochs=_epochs(config, arguments, row_count(rows)),
        doubts=tuple(_doubts(config, arguments, row_count(rows), math.ceil(steps))),
        batches=given.sentence,
    )


def result_of(
    folder: Path, trainer: Trainer, progression: Progression, stopped_by: int | None
) -> TrainingResult:
    """What came of it, for who called."""
    losses = [value for _, value in progression.curve("loss")]
    held = [value for _, value in progression.curve("eval_loss")]
    return TrainingResult(
        folder,
        stopped_by is None,
        trainer.state.global_step,
        losses[-1] if losses else None,
        held[-1] if held else None,
        stopped_by,
    )


def closing_of(
    config: RunConfig,
    trainer: StageTrainer,
    progression: Progression,
    planned: int | None,
    *,
    learnt: bool,
) -> Closing:
    """What it took and brought, as it ends."""
    state, arguments = trainer.state, trainer.args
    is_best = arguments.load_best_model_at_end and state.best_model_checkpoint is not None
    return Closing(
        losses=progression.curve("loss"),
        held=progression.curve("eval_loss"),
        steps=progression.steps,
        begun=progression.begun,
        seconds=progression.seconds,
        tokens=progression.tokens,
        trained=trainer.trained_tokens,
        peak=peak_memory(arguments.device),
        planned=planned,
        kinds=progression.kinds,
        kept=state.best_global_step if is_best else None,
        averaged=None if trainer.average is None else trainer.average.count,
        doubt=doubt_of_rate(config.method.name, arguments.learning_rate),
        learnt=learnt,
        bits=config.model.bits if config.model.bits in (8, 4) else None,
    )


def _device(arguments: TrainingArguments) -> str:
    """Where it computes, and with how many threads where those do."""
    device = arguments.device
    return f"{device}, {use_threads().words}" if device.type == "cpu" else str(device)


def _doubts(
    config: RunConfig, arguments: TrainingArguments, rows: int | None, steps: int
) -> Iterator[str]:
    """What of the settings is far from what suits the method."""
    of_rate = doubt_of_rate(config.method.name, arguments.learning_rate)
    if of_rate is not None:
        yield of_rate
    # who gives a number of steps means it
    if rows is not None and arguments.max_steps <= 0 and "num_train_epochs" in config.training:
        epochs = arguments.num_train_epochs
        of_steps = doubt_of_steps(config.method.name, rows, epochs, steps)
        if of_steps is not None:
            yield of_steps


def _epochs(config: RunConfig, arguments: TrainingArguments, rows: int | None) -> str:
    """How often the rows are seen, and who said so."""
    if arguments.max_steps > 0 or rows is None:
        return ""
    chosen = "" if "num_train_epochs" in config.training else f", chosen for {rows:,} rows"
    epochs = "epoch" if arguments.num_train_epochs == 1 else "epochs"
    return f"{arguments.num_train_epochs:g} {epochs}{chosen}"


def row_count(rows: EncodedSet | StreamedSet) -> int | None:
    """How many rows there are; None where nobody knows."""
    return len(rows.rows) if isinstance(rows, EncodedSet) else None


def items_a_step(arguments: TrainingArguments) -> int:
    """Rows or packs that a step learns from, of all processes."""
    accumulated = arguments.train_batch_size * arguments.gradient_accumulation_steps
    return accumulated * arguments.world_size


def parameter_count(model: nn.Module) -> int:
    """Number of weights; of those packed in bits, the number that was packed."""
    counts = {
        weight: module.in_features * module.out_features
        if isinstance(module, nn.Linear) and name == "weight"
        else weight.numel()
        for module in model.modules()
        for name, weight in module.named_parameters(recurse=False)
    }
    return sum(counts.values())
