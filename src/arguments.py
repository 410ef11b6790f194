"""The arguments, where other versions of ChatGLM-Efficient-Tuning had them."""

from utils import DataTrainingArguments, FinetuningArguments, ModelArguments

__all__ = ["DataTrainingArguments", "FinetuningArguments", "ModelArguments"]
