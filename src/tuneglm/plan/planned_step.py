"""A run's config → the step that decides its memory, and the steps of other choices.

Rows are looked at where they lie on this disk and are few; else each is taken to be
as long as `data.cutoff` and trained throughout.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from transformers import TrainingArguments

from tuneglm.config import RunConfig
from tuneglm.data.batches import Batches, batches, is_packed
from tuneglm.data.examples import load_examples
from tuneglm.data.pipeline import encode_data
from tuneglm.errors import UserError
from tuneglm.method_config import METHOD_SECTIONS
from tuneglm.methods import METHODS, check_method
from tuneglm.models.encoder import encoder_of
from tuneglm.models.family import Family
from tuneglm.models.loading import load_tokenizer
from tuneglm.models.packed import packed_bits
from tuneglm.models.precision import Bits
from tuneglm.models.weights import read_json
from tuneglm.packages import missing
from tuneglm.plan.batch_shape import assumed_batch, largest_batch
from tuneglm.plan.capacity import MIB
from tuneglm.plan.step import Step
from tuneglm.stages.sharing import check_sharing, sharing_of

# files larger than this are not read for a plan
MOST_BYTES = 64 * MIB


def as_if_there(config: RunConfig, device: torch.device) -> RunConfig:
    """The config with types as that device would have them, and a place for results."""
    training = {"output_dir": "output", **config.training}
    model = config.model
    if device.type == "cuda" and not torch.cuda.is_available():
        # a card of 2020 or later
        if not training.keys() & {"bf16", "fp16"}:
            training["bf16"] = True
        if model.dtype == "auto":
            dtype = "float16" if training.get("fp16") else "bfloat16"
            model = model.model_copy(update={"dtype": dtype})
    return config.model_copy(update={"training": training, "model": model})


def evaluates(config: RunConfig) -> bool:
    """Whether a run keeps rows for evaluation."""
    data = config.data
    return bool(data.evaluation or data.evaluation_share or data.evaluation_rows)


def step_of(
    config: RunConfig,
    folder: Path,
    family: Family,
    arguments: TrainingArguments,
    given: Batches | None,
    device: torch.device,
) -> Step:
    """The step that decides a run's memory; `given` None: no rows are known."""
    sharing = sharing_of(arguments)
    data = config.data
    if is_packed(data) is None and (config.model.attention == "eager" or sharing.kind != "copies"):
        data = data.model_copy(update={"batching": "padded"})
    rows = arguments.train_batch_size
    held = arguments.eval_batch_size if arguments.eval_strategy != "no" else 0
    if given is None:
        batch = assumed_batch(data, rows)
        evaluation = assumed_batch(data, held) if held else None
    else:
        batch = largest_batch(data, given.train, rows)
        evaluation = None
        if held and given.evaluation is not None:
            evaluation = largest_batch(data, given.evaluation, held)
    return Step(config, folder, family, arguments, device, batch, evaluation, sharing)


def rows_at_hand(config: RunConfig, folder: Path, family: Family) -> Batches | None:
    """The run's rows where they and a tokenizer lie on this disk and are few; None otherwise."""
    entries = (*config.data.train, *config.data.evaluation)
    files = [Path(entry.path or entry.name or "").expanduser() for entry in entries]
    has_tokenizer = any(folder.glob("tokenizer.json")) or any(folder.glob("*.model"))
    if not config.data.train or not has_tokenizer or config.data.streaming:
        return None
    if not all(file.is_file() for file in files) or _size(files) > MOST_BYTES:
        return None
    tokenizer = load_tokenizer(folder, family=family.name)
    encoder = encoder_of(config.data, tokenizer, family)
    data = encode_data(load_examples(config.data), encoder, config.data)
    held = data.evaluation
    return batches(config.data, data.train.rows, None if held is None else held.rows)


def _size(files: Sequence[Path]) -> int:
    return sum(file.stat().st_size for file in files)


def other_steps(step: Step) -> Iterator[Step]:
    """Method × bits × gradient checkpointing, those that the model can have."""
    is_packed = packed_bits(read_json(step.folder / "config.json")) is not None
    widths: tuple[Bits | None, ...] = (None, 8, 4)
    if is_packed or missing("quant"):
        widths = (step.placement.bits,)
    sections: dict[str, Any] = {kind.model_fields["name"].default: kind for kind in METHOD_SECTIONS}
    for name in METHODS:
        method = step.config.method if name == step.config.method.name else sections[name]()
        for bits in widths:
            model = step.config.model.model_copy(update={"bits": bits})
            config = step.config.model_copy(update={"model": model, "method": method})
            if not can_be(config, step):
                continue
            for checkpointing in (False, True):
                arguments = _copied(step.arguments, checkpointing)
                yield replace(step, config=config, arguments=arguments)


def can_be(config: RunConfig, step: Step) -> bool:
    """Whether a config's method can tune the step's model in its bits."""
    try:
        check_method(config, step.folder, step.family)
        check_sharing(config, step.sharing, step.folder)
    except UserError:
        return False
    return True


def _copied(arguments: TrainingArguments, checkpointing: bool) -> TrainingArguments:
    other = copy.copy(arguments)
    other.gradient_checkpointing = checkpointing
    return other
