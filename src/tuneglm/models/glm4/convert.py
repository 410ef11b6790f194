"""GLM-4's published layout: ChatGLM3's, number for number."""

from tuneglm.models.chatglm3.convert import LAYOUT

__all__ = ["LAYOUT"]
