"""`load_pretrained`, where other versions of ChatGLM-Efficient-Tuning had it."""

from utils import load_pretrained

__all__ = ["load_pretrained"]
