"""The stages of tuning: what the loss is."""

from collections.abc import Callable
from typing import Any

from transformers import TrainingArguments

from tuneglm.config import StageConfig
from tuneglm.data.batches import Batches
from tuneglm.methods.tuned import Tuned
from tuneglm.stages import sft
from tuneglm.stages.trainer import StageTrainer

# (what a method made ready, tokenizer, what batches are made of, arguments, its section of the
# config) → its Trainer
Stage = Callable[[Tuned, Any, Batches, TrainingArguments, StageConfig], StageTrainer]

STAGES: dict[str, Stage] = {"sft": sft.trainer}
