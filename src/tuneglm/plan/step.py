"""Step: all that the memory of a step of training depends on."""

from dataclasses import dataclass, field
from pathlib import Path

import torch
from transformers import TrainingArguments
from transformers.training_args import OptimizerNames

from tuneglm.config import RunConfig
from tuneglm.models.family import Family
from tuneglm.models.packed import bits_to_pack
from tuneglm.models.precision import Placement
from tuneglm.plan.batch_shape import Batch
from tuneglm.stages.arguments import base_type
from tuneglm.stages.portions import tokens_at_once
from tuneglm.stages.sharing import Sharing

# transformers' name of an optimizer → bytes a trained weight that it keeps; others as AdamW
STATE_BYTES: dict[str, float] = {
    "sgd": 0,
    "adafactor": 0.1,
    "adagrad": 4,
    "rmsprop": 4,
    "lion_32bit": 4,
    "paged_lion_32bit": 4,
    "ademamix": 12,
    "paged_ademamix_32bit": 12,
    "adamw_bnb_8bit": 2,
    "paged_adamw_8bit": 2,
    "ademamix_8bit": 3,
    "paged_ademamix_8bit": 3,
    "lion_8bit": 1,
    "paged_lion_8bit": 1,
    "rmsprop_bnb_8bit": 1,
}
ADAMW_BYTES = 8
# the mean of a trained weight, in float32
AVERAGE_BYTES = 4
# those that change the weights in one pass, with nothing beside
FUSED = ("adamw_torch_fused", "adamw_apex_fused")


@dataclass(frozen=True)
class Step:
    """A run's config, and what came of it.

    device      where it computes; fake tensors are the processor's, whichever it is
    batch       the largest of training; what runs at once may be a portion of it
    evaluation  the largest batch of evaluation, None where nothing is evaluated
    sharing     how several processes hold the model
    at_once     tokens of a portion, where neither the run nor the device says it
    """

    config: RunConfig
    folder: Path
    family: Family
    arguments: TrainingArguments
    device: torch.device
    batch: Batch
    evaluation: Batch | None = None
    sharing: Sharing = field(default_factory=Sharing)
    at_once: int | None = None

    @property
    def has_portions(self) -> bool:
        """Whether a batch may be run a part at a time: not where the processes divide the model."""
        return self.sharing.kind == "copies"

    @property
    def portion(self) -> Batch:
        """What of a batch runs at once, at most."""
        if not self.has_portions:
            return self.batch
        wanted = self.at_once or self.config.data.tokens_at_once
        return self.batch.portion(wanted or tokens_at_once(self.device))

    @property
    def portions_of_batch(self) -> float:
        """How many of these a batch takes."""
        return self.batch.tokens / self.portion.tokens

    @property
    def portions(self) -> float:
        """How many of these a step takes."""
        return self.portions_of_batch * self.arguments.gradient_accumulation_steps

    @property
    def placement(self) -> Placement:
        """How the base is held, as `train` loads it."""
        model = self.config.model
        dtype = base_type(self.config, self.arguments, self.device)
        # kernels for GPUs save what torch's own saves, and only that one can run here
        attention = "eager" if model.attention == "eager" else None
        return Placement(dtype, self.device, bits_to_pack(self.folder, model.bits), attention)

    @property
    def computed_in(self) -> torch.dtype | None:
        """The type of autocast; None where there is none."""
        if self.arguments.bf16:
            return torch.bfloat16
        return torch.float16 if self.arguments.fp16 else None

    @property
    def optimizer(self) -> str:
        """transformers' name of it."""
        return str(OptimizerNames(self.arguments.optim).value)

    @property
    def state_bytes(self) -> float:
        """What is kept for each trained weight: by the optimizer, and for `average` its mean."""
        of_mean = 0 if self.config.average is None else AVERAGE_BYTES
        return STATE_BYTES.get(self.optimizer, ADAMW_BYTES) + of_mean
