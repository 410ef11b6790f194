"""The stages of tuning: what the loss is."""

from collections.abc import Callable
from typing import Any

from transformers import Trainer, TrainingArguments

from tuneglm.data.mix import EncodedSet
from tuneglm.stages import sft

# (model, tokenizer, training rows, evaluation rows or None, arguments) → transformers' Trainer
Stage = Callable[[Any, Any, EncodedSet, EncodedSet | None, TrainingArguments], Trainer]

STAGES: dict[str, Stage] = {"sft": sft.trainer}
