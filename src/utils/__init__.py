"""`from utils import load_pretrained, ModelArguments`, as ChatGLM-Efficient-Tuning had it."""

from config import CHATGLM_REPO_NAME
from tuneglm.original.pretrained import (
    DataTrainingArguments,
    FinetuningArguments,
    ModelArguments,
    loader,
)

load_pretrained = loader(CHATGLM_REPO_NAME)

__all__ = ["DataTrainingArguments", "FinetuningArguments", "ModelArguments", "load_pretrained"]
