"""The stages of tuning: what the loss is."""

from collections.abc import Callable
from typing import Any

from transformers import TrainingArguments

from tuneglm.data.mix import EncodedSet
from tuneglm.stages import sft
from tuneglm.stages.trainer import StageTrainer

# (model, tokenizer, training rows, evaluation rows or None, arguments) → its Trainer
Stage = Callable[[Any, Any, EncodedSet, EncodedSet | None, TrainingArguments], StageTrainer]

STAGES: dict[str, Stage] = {"sft": sft.trainer}
