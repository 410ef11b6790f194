"""The model of a run before its method: of its files, or hollow where another process has it."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from transformers import TrainingArguments

from tuneglm.config import RunConfig
from tuneglm.data.batches import is_packed
from tuneglm.errors import ModelError
from tuneglm.methods import holding_of
from tuneglm.methods.start import merge_earlier
from tuneglm.models.attention import keep_rows_apart
from tuneglm.models.family import Family
from tuneglm.models.float16 import compute_in_float16
from tuneglm.models.hollow import can_be_hollow, hollow_model
from tuneglm.models.loading import load_model
from tuneglm.models.precision import Placement
from tuneglm.models.quantization import keep_trainable
from tuneglm.stages.arguments import base_type
from tuneglm.stages.sharing import Sharing, sharing_of


def base_model(
    config: RunConfig, folder: Path, family: Family, arguments: TrainingArguments
) -> Any:
    """The model before the method: in float32 where its own weights are trained."""
    sharing, holding = sharing_of(arguments), holding_of(config, folder)
    dtype = base_type(config, arguments, arguments.device)
    attention = None if config.model.attention == "auto" else config.model.attention
    # what is divided goes to the device part by part
    device = torch.device("cpu") if sharing.divides_weights else arguments.device
    if _is_hollow(folder, sharing, arguments):
        model = hollow_model(folder, family, Placement(dtype, device, None, attention))
    else:
        model = load_model(
            folder,
            family=family.name,
            dtype=dtype,
            bits=holding.bits,
            device=device,
            attention=attention,
        )
        merge_earlier(model, config.model, family)
    if holding.bits is not None and not holding.is_packed:
        keep_trainable(model)
    if arguments.fp16:
        compute_in_float16(model)
    if config.data.batching == "packed":
        keep_rows_apart(model, family.place_rows)
    elif is_packed(config.data) is None and sharing.kind == "copies":
        # where it cannot be, rows are padded
        with suppress(ModelError):
            keep_rows_apart(model, family.place_rows)
    is_id = not Path(config.model.path).expanduser().is_dir()
    if is_id and config.model.hub == "huggingface" and config.model.revision is None:
        # an adapter names its base: an id is good on every machine, a cache's folder on one;
        # only the folder says of which hub and revision it is
        model.config.name_or_path = model.name_or_path = config.model.path
    if arguments.gradient_checkpointing:
        model.enable_input_require_grads()
    return model


def _is_hollow(folder: Path, sharing: Sharing, arguments: TrainingArguments) -> bool:
    """Whether this process needs no weights of its own: the first one sends each its part."""
    is_first = arguments.process_index == 0
    return sharing.divides_weights and not is_first and can_be_hollow(folder)
